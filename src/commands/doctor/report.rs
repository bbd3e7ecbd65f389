//! The findings, a line each.

use std::process::ExitCode;

use serde::Serialize;

use crate::commands::output;
use crate::error::{Error, printable};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It works.
    Ok,
    /// The user should know it; a mount works all the same.
    Note,
    /// A mount will not work.
    Failed,
    /// Not checked, since a check before it failed or something was not given.
    Skipped,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    text: String,
}

/// The findings so far. Unless they are to be JSON, each is printed when it is made, since some
/// checks take their time.
#[derive(Debug)]
pub(super) struct Report {
    as_json: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self { as_json, findings: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, text: &str) -> Result<(), Error> {
        self.add(check, State::Ok, text)
    }

    pub(super) fn note(&mut self, check: &'static str, text: &str) -> Result<(), Error> {
        self.add(check, State::Note, text)
    }

    pub(super) fn failed(&mut self, check: &'static str, text: &str) -> Result<(), Error> {
        self.add(check, State::Failed, text)
    }

    pub(super) fn skipped(&mut self, check: &'static str, text: &str) -> Result<(), Error> {
        self.add(check, State::Skipped, text)
    }

    fn add(&mut self, check: &'static str, state: State, text: &str) -> Result<(), Error> {
        let finding = Finding { check, state, text: text.into() };
        if !self.as_json {
            output::print(&finding.line())?;
        }
        self.findings.push(finding);
        Ok(())
    }

    /// Prints what is left to print. Returns failure when any check failed.
    pub(super) fn end(self) -> Result<ExitCode, Error> {
        let failed = self.findings.iter().filter(|finding| finding.state == State::Failed).count();
        if self.as_json {
            output::print(&output::json(
                &serde_json::json!({ "ok": failed == 0, "checks": self.findings }),
            )?)?;
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Finding {
    fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Failed => "FAILED",
            State::Skipped => "skipped",
        };
        format!("{state:7}  {:12}  {}\n", self.check, printable(&self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding { check: "login", state: State::Failed, text: "it says no".into() };
        assert_eq!(finding.line(), "FAILED   login         it says no\n");
        let json = serde_json::to_string(&finding).unwrap();
        assert_eq!(json, r#"{"check":"login","state":"failed","text":"it says no"}"#);
    }
}
