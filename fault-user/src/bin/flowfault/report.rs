//! `flowfault report`.

use anyhow::Result;
use fault_user::report::text::{self, Style};
use fault_user::report::{html, jepsen, json, junit, load};

use crate::args::{Format, Report};
use crate::exit::{self, Code};
use crate::out;

/// Renders a finished run. The exit code says that it could be read, not how the run went.
pub fn report(args: &Report) -> Result<Code> {
    let report = load(&args.dir)?;
    let text = match args.format {
        Format::Text => {
            let colour = out::colour(&std::io::stdout());
            text::render(&report, Style { colour, ..Style::default() })
        }
        Format::Json => json::render(&report)? + "\n",
        Format::Junit => junit::render(&report)? + "\n",
        Format::Html => html::render(&report) + "\n",
        Format::Jepsen => jepsen::render(&report),
    };
    out::results(&text)?;
    Ok(exit::DONE)
}
