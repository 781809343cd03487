//! `flowfault report`.

use std::io::IsTerminal as _;

use anyhow::Result;
use fault_user::report::text::{self, Style};
use fault_user::report::{html, json, junit, load};

use crate::args::{Format, Report};
use crate::exit::{self, Code};

/// Renders a finished run. The exit code says that it could be read, not how the run went.
pub fn report(args: &Report) -> Result<Code> {
    let report = load(&args.dir)?;
    match args.format {
        Format::Text => {
            let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            print!("{}", text::render(&report, Style { colour, ..Style::default() }));
        }
        Format::Json => println!("{}", json::render(&report)?),
        Format::Junit => println!("{}", junit::render(&report)?),
        Format::Html => println!("{}", html::render(&report)),
    }
    Ok(exit::DONE)
}
