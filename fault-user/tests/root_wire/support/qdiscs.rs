//! Queueing disciplines that not every kernel has.

/// Whether a test can go on that needs this queueing discipline. Where it has to be there, as
/// FLOWFAULT_TEST_QDISCS says of the guests of `cargo xtask vm-test`, it is an error if it is not.
pub fn needs_qdisc(name: &str, there: bool, why_not: &str) -> bool {
    let expected = std::env::var("FLOWFAULT_TEST_QDISCS").unwrap_or_default();
    let expected = expected.split_whitespace().any(|n| n == name);
    assert!(there || !expected, "this kernel should have {name}: {why_not}");
    if !there {
        println!("SKIPPED: this kernel has no {name}: {}", why_not.trim());
    }
    there
}
