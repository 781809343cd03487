//! What fq cannot do, and kernels that do not have it.

use crate::lab::Lab;
use crate::lab::run::{Finished, Run};
use crate::scene::has_fq;

fn run(fault: &str, line: &str) -> Finished {
    let lab = Lab::alone();
    let scenario = format!(
        "schema = 1\nname = 'refused'\nduration = '1s'\nline = '{line}'\n\
         [[app]]\nname = 'a'\ncommand = ['true']\n\
         [[flow]]\nname = 'f'\napp = 'a'\nremote = '127.0.0.1:9'\n\
         [[step]]\nname = 's'\nat = '0s'\nfaults = [{{ flow = 'f', {fault} }}]\n"
    );
    let finished = Run::start(&lab, "out", &scenario, &[]).finish();
    lab.close();
    finished
}

#[test]
fn a_kernel_without_fq_is_3_and_names_the_module() {
    if has_fq() {
        println!("SKIPPED: this kernel has fq");
        return;
    }
    let finished = run("delay = '20ms'", "fq");
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert!(finished.stderr.contains("sch_fq"), "{finished:#?}");
}

#[test]
fn what_is_no_plain_delay_is_refused_by_name() {
    for (fault, word) in [
        ("delay = { mean = '20ms', jitter = '5ms' }", "jitter"),
        ("delay = '20ms', pulse = { on = '1s', off = '1s' }", "pulse"),
        ("delay = '20ms', when = { size = [100, 200] }", "when"),
    ] {
        let finished = run(fault, "fq");
        // Known without asking the kernel: before anything is started.
        assert_eq!(finished.code, 2, "{finished:#?}");
        assert!(finished.stderr.contains(word), "{finished:#?}");
    }
}
