//! A page that shows a plot, built as the `htmlwidgets` package of R builds one: the widget has a random id.
//!
//! The page reads its scripts from `lib/` beside it. They draw by themselves, with no network.

use serde_json::{Value, json};

/// The scripts that pages need, by path below `lib/`.
pub const LIBRARY: [(&str, &str); 2] = [
    ("htmlwidgets-1.6.4/htmlwidgets.js", include_str!("page/htmlwidgets.js")),
    ("plotly-binding-4.10.4/plotly.js", include_str!("page/plotly.js")),
];

/// The page of a document that `plotly::document` made.
pub fn page(document: &Value, title: &str, id: u64) -> String {
    let id =
        format!("htmlwidget-{:08x}{:012x}", id >> 40, id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16);
    // `</script>` in a text would end the payload early.
    let payload =
        json!({ "x": document, "evals": [], "jsHooks": [] }).to_string().replace("</", "<\\/");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let height = document["layout"]["height"].as_u64().unwrap_or(450);
    let scripts: String =
        LIBRARY.iter().map(|(path, _)| format!("<script src=\"lib/{path}\"></script>\n")).collect();
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\"/>\n<title>{title}</title>\n{scripts}</head>\n\
         <body style=\"background-color: white;\">\n<div id=\"htmlwidget_container\">\n\
         <div class=\"plotly html-widget html-fill-item\" id=\"{id}\" style=\"width:960px;height:{height}px;\"></div>\n\
         </div>\n<script type=\"application/json\" data-for=\"{id}\">{payload}</script>\n\
         <script type=\"application/htmlwidget-sizing\" data-for=\"{id}\">\
         {{\"viewer\":{{\"width\":960,\"height\":{height}}},\"browser\":{{\"width\":960,\"height\":{height}}}}}</script>\n\
         </body>\n</html>\n"
    )
}
