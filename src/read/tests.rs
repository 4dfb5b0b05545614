use super::*;

fn source(text: &str) -> Arc<Source> {
    Arc::new(Source { name: "Jheemfile.toml".into(), text: text.to_owned() })
}

fn accepted(text: &str, profile: Option<&str>) -> Manifest {
    read(&source(text), profile).unwrap_or_else(|errors| {
        let shown: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
        panic!("{}", shown.join("\n\n"))
    })
}

#[test]
fn the_example_of_the_original_pipeline_is_read() {
    let text = include_str!("../../examples/original/Jheemfile.toml");
    let manifest = accepted(text, Some("local"));
    assert_eq!(manifest.publishes["plots"].objects["plot"].to.value, "file:site");
    let manifest = accepted(text, None);
    assert_eq!(&text[manifest.project.name.span.clone()], "\"ryan-white-msa\"");
}
