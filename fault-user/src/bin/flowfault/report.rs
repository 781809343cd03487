//! `flowfault report`.

use anyhow::Result;
use fault_user::audit::{self, Audit};
use fault_user::report::text::{self, Style};
use fault_user::report::{html, jepsen, json, junit, load, load_whole, words};

use crate::args::{Format, Report};
use crate::exit::{self, Code};
use crate::out;

/// Renders a finished run. The exit code says that it could be read, not how the run went.
pub fn report(args: &Report) -> Result<Code> {
    if args.audit {
        return audit(args);
    }
    let report = load(&args.dir)?;
    let text = match args.format {
        Format::Text => {
            let colour = out::colour(&std::io::stdout());
            text::render(&report, Style { colour, ..Style::default() })
        }
        Format::Json => json::render(&report)? + "\n",
        Format::Junit => junit::render(&report)? + "\n",
        Format::Html => html::render(&report) + "\n",
        Format::Jepsen => jepsen::render(&load_whole(&args.dir)?),
    };
    out::results(&text)?;
    Ok(exit::DONE)
}

/// Says what was looked at and what does not add up.
fn audit(args: &Report) -> Result<Code> {
    let Audit { findings, events, decisions, undecided, verdicts } = audit::of_dir(&args.dir)?;
    let mut text = format!(
        "{events} events, {decisions} decisions and {verdicts} verdicts were looked at again\n"
    );
    if undecided > 0 {
        text += &format!(
            "{undecided} decisions were not: more than one rule had counted, or one had drawn, too\n"
        );
    }
    for finding in &findings {
        text += &format!("WRONG  {}\n", words::visible(&finding.to_string()));
    }
    if findings.is_empty() {
        text += "everything adds up\n";
    }
    out::results(&text)?;
    Ok(if findings.is_empty() { exit::DONE } else { exit::FAILED })
}
