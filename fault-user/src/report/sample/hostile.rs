//! A report that attacks whoever renders it.

use super::outage;
use crate::report::model::Report;

/// Everything that an app, a peer or a scenario file can name tries to break out of its place.
pub(crate) fn hostile() -> Report {
    let evil = "<script>alert('1')</script>\x1b[2J\u{202e}\"&amp;]]>";
    let mut report = outage();
    for text in [&mut report.name, &mut report.scenario, &mut report.kernel, &mut report.started] {
        *text = evil.to_owned();
    }
    for send in &mut report.sends {
        send.id = send.id.as_ref().map(|id| format!("{evil}{id}"));
        evil.clone_into(&mut send.why);
        send.flow = Some(evil.to_owned());
        send.rule = Some(evil.to_owned());
        evil.clone_into(&mut send.app);
    }
    for flow in &mut report.flows {
        for text in
            [&mut flow.name, &mut flow.app, &mut flow.comm, &mut flow.local, &mut flow.remote]
        {
            evil.clone_into(text);
        }
    }
    for step in &mut report.steps {
        evil.clone_into(&mut step.name);
        evil.clone_into(&mut step.what);
    }
    for fault in &mut report.faults {
        evil.clone_into(&mut fault.step);
        evil.clone_into(&mut fault.flow);
        evil.clone_into(&mut fault.fault);
    }
    for app in &mut report.apps {
        evil.clone_into(&mut app.name);
        evil.clone_into(&mut app.status);
    }
    for expectation in &mut report.expectations {
        evil.clone_into(&mut expectation.text);
        evil.clone_into(&mut expectation.observed);
    }
    report.warnings = vec![evil.to_owned()];
    report.evidence.blind_spots = vec![evil.to_owned()];
    report
}
