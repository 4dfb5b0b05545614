// Finds the widgets of a page and hands each its payload, once the page is there.
window.HTMLWidgets = {
  bindings: {},
  widget: function (binding) { this.bindings[binding.name] = binding; },
};
document.addEventListener("DOMContentLoaded", function () {
  document.querySelectorAll(".html-widget").forEach(function (element) {
    var payload = document.querySelector('script[type="application/json"][data-for="' + element.id + '"]');
    var binding = window.HTMLWidgets.bindings[element.classList[0]];
    binding.factory(element).renderValue(JSON.parse(payload.textContent).x);
  });
});
