//! The tests of `vm-test --quick`: what can differ between kernels, once each. The whole suite
//! takes half an hour in an emulated guest, and runs natively anyway.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Names of tests, in whichever test program.
const TESTS: [&str; 34] = [
    // The verifier takes every program, and the programs do what the model does.
    "budget::each_program_is_verified_within_a_quarter_of_the_limit",
    "egress::what_a_socket_sends_meets_the_fate_that_the_model_says",
    "oracle::each_pure_acknowledgement_draws_anew",
    "ring::lost_events_are_counted_for_their_socket_with_the_time",
    "lease::faults_act_while_the_lease_lasts_and_no_longer",
    // Runs: on loopback and over a cable, with each way to see sends, stopped and killed.
    "twins::written_messages_are_lost_silently_on_loopback",
    "twins::short_messages_between_two_namespaces_ipv6",
    "twins::another_tier_of_evidence_gives_the_same_verdicts",
    "python::exactly_the_marked_connections_are_picked_before_their_first_packet",
    "failsafe::a_killed_controller_leaves_a_whole_network_and_living_apps",
    "exit_codes::without_privileges_it_is_3_with_the_remedy",
    "udp::what_the_second_of_two_udp_sockets_sends_is_lost",
    // Both ways to attach to interfaces; before 6.6 there is only this one.
    "clsact::faults_are_the_same_with_clsact_and_it_goes_with_the_run",
    "clsact::the_janitor_takes_off_the_filters_of_a_killed_run",
    // What is done to connections.
    "reset::both_ends_are_reset",
    "destroy::a_connection_is_aborted_here_and_reset_there",
    // Both lines; and what netem does with the same traffic.
    "tamper::tls_notices_what_tcp_does_not",
    "lift::a_killed_controller_delays_nothing_any_more",
    "stalls::a_stalled_writer_waits_and_goes_on_at_once",
    "waits::packets_on_a_cable_are_held_in_order_and_never_come_early",
    "waits::bulk_reaches_what_the_window_allows_on_the_way_out",
    "life::when_the_owner_is_killed_packets_pass_and_nothing_is_left",
    // By hand, and in a test's own process.
    "hits::by_cookie_by_descriptor_and_by_address",
    "lifetime::nothing_is_left_of_a_process_that_is_killed",
    // What is read of the kernel, what is kept of packets; sockets picked by what they say, whose they are and where.
    "known::the_kernels_own_offsets_pass_and_leave_no_trace",
    "captures::lost_packets_are_handed_over_with_their_bytes",
    "selected::hello::of_two_to_one_port_the_one_for_a_server_name",
    "selected::narrowed::what_is_excluded_is_never_the_flow_and_is_not_counted",
    "listeners::a_listener_that_opens_later_is_known",
    "elsewhere::one_of_two_connections_goes_dark",
    "netem::shares_agree_with_netem",
    "netem::times_agree_with_netem",
    // Sends that not every tier sees.
    "sends::calls::sends_by_io_uring",
    "sends::calls::multipath_tcp_is_refused",
];

/// Arguments that make libtest run these and no others.
///
/// # Errors
/// One of them is gone: libtest would pass over it in silence.
pub fn filter(binaries: &[&Path]) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    for binary in binaries {
        let out = Command::new(binary).args(["--list", "--format", "terse"]).output();
        let out = out.with_context(|| format!("cannot start {}", binary.display()))?;
        ensure!(out.status.success(), "{} does not list its tests", binary.display());
        known.extend(listed(&String::from_utf8_lossy(&out.stdout)).map(str::to_owned));
    }
    let gone: Vec<&str> = TESTS.into_iter().filter(|test| !known.contains(*test)).collect();
    ensure!(gone.is_empty(), "no such tests, adapt xtask/src/vm/quick.rs: {}", gone.join(", "));
    Ok(std::iter::once("--exact").chain(TESTS).map(str::to_owned).collect())
}

/// The names in libtest's list.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_suffix(": test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_listed_and_benchmarks_are_not() {
        let names: Vec<&str> = listed("a::b: test\nc: benchmark\nd: test\n").collect();
        assert_eq!(names, ["a::b", "d"]);
    }
}
