//! What the portal's functions ask of the table and the bucket, with another client, page by page.

use serde_json::json;

use super::{cloud, publish};

/// The client asks for so few rows at a time that every answer has several pages.
const PAGE: usize = 2;

#[test]
fn the_queries_of_the_portal_find_all_that_was_published_beyond_one_page() {
    let Some(cloud) = cloud() else { return };
    let project = cloud.project();
    publish(&project, "").success();
    let ask = |command: &str, more: serde_json::Value| {
        let mut asked = json!({ "table": cloud.table, "page": PAGE });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        cloud.ask(command, asked)
    };
    // GET /plots/cities
    let cities = ask("portal_cities", json!({}));
    assert_eq!(cities, json!({ "A": ["cessation"], "B": ["cessation"] }));
    // GET /plots/search?city&scenario, and with outcomes
    let found =
        ask("portal_search", json!({ "city": "A", "scenario": "cessation", "outcomes": null }));
    let outcomes: Vec<&str> =
        found.as_array().unwrap().iter().map(|plot| plot["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["x", "y", "z"]);
    let some = json!({ "city": "A", "scenario": "cessation", "outcomes": ["x", "z"] });
    assert_eq!(ask("portal_search", some).as_array().unwrap().len(), 2);
    // GET /plot?plotKey, by the key that the search gave
    for plot in found.as_array().unwrap() {
        let key = plot["s3_key"].as_str().unwrap();
        let body = cloud.ask("body", json!({ "bucket": cloud.bucket, "key": key }));
        let outcome = plot["outcome"].as_str().unwrap();
        assert_eq!(body, json!(project.read(&format!("plots/A/{outcome}.json"))));
        let size = plot["file_size"].as_u64().unwrap();
        assert_eq!(size, body.as_str().unwrap().len() as u64);
    }
}
