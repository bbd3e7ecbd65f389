//! The log: where it goes, and in which form.
//!
//! In the background it goes to the socket of syslog(3), which systemd's journal listens at as
//! well. The journal's own protocol would keep the fields of a line apart from its message, where
//! `journalctl` does not show them.

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::io::Errno;
use syslog_tracing::{Facility, Options, Syslog};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::error::{Error, Problem};

/// What `journalctl -t` and syslog's files know the lines by.
const IDENTIFIER: &CStr = c"granulefs";
/// Where syslog and the journal listen.
const SYSTEM_LOG: &str = "/dev/log";

/// What is logged, and where.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The least important level that is logged: `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    /// The file that the log is appended to.
    pub file: Option<PathBuf>,
    /// Without a file: log to standard error, and not to the system's log.
    pub to_stderr: bool,
    /// The mount that lines in the system's log are about.
    pub mountpoint: PathBuf,
}

/// Starts to log. Returns whether there is a place to log to. To be called once in a process.
///
/// # Errors
/// [`Error::Usage`] when the file cannot be written.
pub fn start(settings: &LogSettings) -> Result<bool, Error> {
    // Only granulefs itself logs: other crates would log request headers, which hold secrets.
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("off,granulefs={}", settings.level)))
        .with_target(false)
        // A line that cannot be written is lost: complaining to a closed stream would be a panic.
        .log_internal_errors(false);
    if let Some(path) = &settings.file {
        // A log names what its user reads.
        let file = File::options().create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|e| {
            let problem = Problem::new("cannot write the log file");
            Error::usage(problem.about(path.display()).caused_by(e))
        })?;
        log.with_ansi(false).with_writer(file).init();
        return Ok(true);
    }
    if settings.to_stderr {
        let is_colored = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::io::stderr().is_terminal();
        log.with_ansi(is_colored).with_writer(std::io::stderr).init();
        return Ok(true);
    }
    let Some(system_log) = system_log() else { return Ok(false) };
    let format = SystemLogFormat::new(settings.mountpoint.display());
    log.with_ansi(false).event_format(format).with_writer(system_log).init();
    Ok(true)
}

/// The system's log, if something listens there.
fn system_log() -> Option<impl for<'w> MakeWriter<'w> + Send + Sync + 'static> {
    let probed = UnixDatagram::unbound().and_then(|socket| socket.connect(SYSTEM_LOG));
    match probed.map_err(|e| Errno::from_io_error(&e)) {
        // A socket of another type is right for syslog(3) as well.
        Ok(()) | Err(Some(Errno::PROTOTYPE)) => {}
        Err(_) => return None,
    }
    Syslog::new(IDENTIFIER, Options::LOG_PID | Options::LOG_NDELAY, Facility::User)
}

/// A line of the system's log, which adds the time itself and has the lines of many mounts.
struct SystemLogFormat {
    line: Format<Full, ()>,
    mountpoint: String,
}

impl SystemLogFormat {
    fn new(mountpoint: impl fmt::Display) -> Self {
        let line = Format::default().without_time().with_target(false).with_ansi(false);
        Self { line, mountpoint: mountpoint.to_string().escape_debug().to_string() }
    }
}

impl<S, N> FormatEvent<S, N> for SystemLogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "mountpoint={} ", self.mountpoint)?;
        self.line.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// `journalctl` shows the message only, so what failed and why must be in it.
    #[test]
    fn a_line_of_the_system_log_has_mount_point_and_cause_in_its_message() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(SystemLogFormat::new("/mnt/a\nb"))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            tracing::warn!(error = %"no such luck", errno = 13, "failed");
        });
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
        assert_eq!(
            text.trim_end(),
            "mountpoint=/mnt/a\\nb  WARN failed error=no such luck errno=13"
        );
    }
}
