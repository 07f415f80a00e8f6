//! The pages of the API documentation are whole without any other server.

use std::collections::BTreeSet;

use crate::support::Machine;

/// Values of `src` and `href` in HTML.
fn references(html: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for attribute in ["src=", "href="] {
        for (at, _) in html.match_indices(attribute) {
            let rest = &html[at + attribute.len()..];
            let value = match rest.chars().next() {
                Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next(),
                _ => rest.split([' ', '>']).next(),
            };
            found.extend(value.map(str::to_owned));
        }
    }
    found
}

#[tokio::test]
async fn the_documentation_loads_nothing_from_elsewhere() {
    let machine = Machine::new();
    let service = machine.serve().await;
    let base = reqwest::Url::parse(&service.url()).unwrap();
    let fetch = async |url: reqwest::Url| {
        let response = reqwest::get(url.clone()).await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        (response.url().clone(), response.text().await.unwrap())
    };
    let mut seen = BTreeSet::new();
    for page in ["/docs", "/docs/errors"] {
        let (at, html) = fetch(base.join(page).unwrap()).await;
        assert!(html.contains("<html"), "{html}");
        for reference in references(&html) {
            let url = at.join(&reference).unwrap();
            if url.scheme() == "data" || reference.starts_with('#') {
                continue;
            }
            assert_eq!(url.origin(), base.origin(), "{page} refers to {reference}");
            if seen.insert(url.clone()) {
                let (_, content) = fetch(url).await;
                assert!(!content.is_empty(), "{reference}");
            }
        }
    }

    // The script that starts the page takes the document from here, and loads nothing more.
    let initializer = seen.iter().find(|url| url.path().ends_with("/swagger-initializer.js")).unwrap();
    let (_, script) = fetch(initializer.clone()).await;
    assert!(script.contains("openapi.json") && !script.contains("://"), "{script}");
    service.stop().await;
}
