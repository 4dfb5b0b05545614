// Draws the traces of a plot as SVG. Where the page has loaded Plotly itself, Plotly draws.
window.HTMLWidgets.widget({
  name: "plotly",
  factory: function (element) {
    return {
      renderValue: function (plot) {
        if (window.Plotly) {
          window.Plotly.newPlot(element, plot.data, plot.layout);
        } else {
          element.appendChild(draw(plot, element.clientWidth, element.clientHeight));
        }
      },
    };
    function node(parent, name, attributes, text) {
      var made = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.keys(attributes).forEach(function (key) { made.setAttribute(key, attributes[key]); });
      if (text !== undefined) { made.textContent = text; }
      if (parent) { parent.appendChild(made); }
      return made;
    }
    function draw(plot, width, height) {
      var layout = plot.layout, margin = layout.margin;
      var inner = { w: width - margin.l - margin.r - 120, h: height - margin.t - margin.b };
      var svg = node(null, "svg", { width: width, height: height, "font-family": "sans-serif", "font-size": 10 });
      node(svg, "text", { x: 10, y: 24, "font-size": 15 }, layout.title.text);
      Object.keys(layout).filter(function (key) { return /^xaxis/.test(key); }).forEach(function (key) {
        var suffix = key.slice(5), xaxis = layout[key], yaxis = layout["yaxis" + suffix];
        var traces = plot.data.filter(function (trace) { return trace.xaxis === "x" + suffix; });
        var top = Math.max.apply(null, traces.map(function (trace) { return Math.max.apply(null, trace.y); }).concat(1e-9)) * 1.05;
        var box = {
          x: margin.l + xaxis.domain[0] * inner.w, w: (xaxis.domain[1] - xaxis.domain[0]) * inner.w,
          y: margin.t + (1 - yaxis.domain[1]) * inner.h, h: (yaxis.domain[1] - yaxis.domain[0]) * inner.h,
        };
        var px = function (x) { return box.x + (x - xaxis.range[0]) / (xaxis.range[1] - xaxis.range[0]) * box.w; };
        var py = function (y) { return box.y + box.h - y / top * box.h; };
        var path = function (trace) { return trace.x.map(function (x, i) { return px(x).toFixed(1) + "," + py(trace.y[i]).toFixed(1); }); };
        node(svg, "rect", { x: box.x, y: box.y, width: box.w, height: box.h, fill: layout.plot_bgcolor });
        [2010, 2020, 2030].forEach(function (year) { node(svg, "text", { x: px(year), y: box.y + box.h + 12, "text-anchor": "middle" }, year); });
        [0, top / 1.05].forEach(function (value) {
          var label = yaxis.tickformat === ".0%" ? Math.round(value * 100) + "%" : value.toPrecision(3);
          node(svg, "text", { x: box.x - 3, y: py(value) + 4, "text-anchor": "end" }, label);
        });
        traces.forEach(function (trace, i) {
          if (trace.fill === "tonexty") {
            node(svg, "polygon", { points: path(trace).concat(path(traces[i - 1]).reverse()).join(" "), fill: trace.fillcolor });
          } else if (trace.mode === "markers") {
            path(trace).forEach(function (point) {
              var at = point.split(",");
              node(svg, "circle", { cx: at[0], cy: at[1], r: 2, fill: trace.marker.color });
            });
          } else if (trace.line.width > 0) {
            node(svg, "polyline", { points: path(trace).join(" "), fill: "none", stroke: trace.line.color, "stroke-width": trace.line.width });
          }
        });
      });
      layout.annotations.forEach(function (note) {
        var lines = note.text.split("<br>"), y = margin.t + (1 - note.y) * inner.h - 3;
        lines.forEach(function (line, i) {
          var place = { x: margin.l + note.x * inner.w, y: y - 11 * (lines.length - 1 - i), "text-anchor": "middle" };
          node(svg, "text", place, line);
        });
      });
      plot.data.filter(function (trace) { return trace.showlegend; }).forEach(function (trace, i) {
        var y = margin.t + 10 + 18 * i, x = width - 130;
        node(svg, "rect", { x: x, y: y - 8, width: 12, height: 8, fill: (trace.marker || trace.line).color });
        node(svg, "text", { x: x + 16, y: y }, trace.name);
      });
      var ylabel = Object.keys(layout).map(function (key) { return /^yaxis/.test(key) && layout[key].title; }).find(Boolean);
      node(svg, "text", { transform: "translate(14," + (margin.t + inner.h / 2) + ") rotate(-90)", "text-anchor": "middle", "font-size": 12 }, ylabel.text);
      node(svg, "text", { x: margin.l + inner.w / 2, y: height - 12, "text-anchor": "middle", "font-size": 12 }, "Year");
      return svg;
    }
  },
});
