use super::*;
use crate::report::sample;

/// The names of all tags in order, `/` before closing ones; panics where a `<` opens none.
fn tags(page: &str) -> Vec<String> {
    let body = page.split("</style>").nth(1).expect("a page has a style sheet, then its body");
    let mut tags = Vec::new();
    for piece in body.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("an open tag: <{piece}"));
        let name = tag.split(' ').next().unwrap_or_default();
        let empty = tag.ends_with('/') || ["br", "input", "meta"].contains(&name);
        if !empty {
            tags.push(name.to_owned());
        }
    }
    tags
}

#[track_caller]
fn assert_nested(page: &str) {
    let mut open = vec!["html".to_owned(), "head".to_owned()];
    for tag in tags(page) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "closes something else"),
            None => open.push(tag),
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn every_tag_is_closed_where_it_should_be() {
    for report in [sample::quiet(), sample::outage(), sample::hostile()] {
        assert_nested(&render(&report));
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    for report in [sample::outage(), sample::hostile()] {
        let page = render(&report);
        for forbidden in
            ["http://", "https://", "src=", "href=", "@import", "<script", "onload", "url(http"]
        {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn hostile_text_stays_text() {
    let page = render(&sample::hostile());
    assert!(!page.contains("<script") && !page.contains(['\x1b', '\u{202e}']));
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    let plain =
        tags(&render(&sample::outage())).into_iter().filter(|t| t != "text").collect::<Vec<_>>();
    assert!(
        tags(&page).iter().all(|tag| plain.contains(tag) || tag == "text"),
        "a tag that no plain report has"
    );
}

#[test]
fn each_message_has_a_sign_and_a_row_and_each_verdict_a_filter() {
    let page = render(&sample::outage());
    let count = |what: &str| page.matches(what).count();
    assert_eq!(count("<g class=\"v-silent_loss\">"), 3);
    assert_eq!(count("<tr class=\"v-silent_loss\">"), 3);
    assert_eq!(count("<tr class=\"v-"), 9, "sends without an id have no row");
    for verdict in ["silent_loss", "clean_failure", "late", "rerouted", "delivered"] {
        assert_eq!(count(&format!("id=\"show-{verdict}\"")), 1, "{verdict}");
        assert_eq!(
            count(&format!("body:has(#show-{verdict}:not(:checked)) .v-{verdict} ")),
            1,
            "{verdict}"
        );
    }
    assert_eq!(count("show-unlogged"), 0);
    assert!(page.contains("3 sends without an id, counted only."));
}

#[test]
fn only_the_faulted_flow_is_shaded() {
    let page = render(&sample::outage());
    assert_eq!(page.matches("<rect class=\"shade\"").count(), 1);
    assert_eq!(render(&sample::quiet()).matches("class=\"shade\"").count(), 0);
}

#[test]
fn the_result_stands_first() {
    let page = render(&sample::outage());
    assert!(page.contains(
        "<h1><span class=\"result\">FAILED</span> the unidentified websocket dies silently</h1>"
    ));
    assert!(page.contains("<title>FAILED the unidentified websocket dies silently</title>"));
    assert!(page.contains("✗ FAILED") && page.contains("✓ held"));
    assert!(page.contains("3 lost</strong>"));
}
