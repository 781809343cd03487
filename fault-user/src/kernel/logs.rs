//! Messages of the programs themselves (aya-log) -> `tracing`. Off unless asked for.

use aya_log::EbpfLogger;
use log::{Level, Log, Metadata, Record};
use tokio::io::unix::AsyncFd;

use super::Kernel;
use super::error::KernelError;

/// Hands aya-log's records to `tracing`.
struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error => tracing::error!(target: "flowfault::kernel", "{}", record.args()),
            Level::Warn => tracing::warn!(target: "flowfault::kernel", "{}", record.args()),
            Level::Info => tracing::info!(target: "flowfault::kernel", "{}", record.args()),
            Level::Debug => tracing::debug!(target: "flowfault::kernel", "{}", record.args()),
            Level::Trace => tracing::trace!(target: "flowfault::kernel", "{}", record.args()),
        }
    }

    fn flush(&self) {}
}

impl Kernel {
    /// Starts to forward kernel-side log messages; the task ends with the runtime.
    ///
    /// # Errors
    /// The object has no log map, or it cannot be polled.
    pub fn forward_logs(&mut self) -> Result<(), KernelError> {
        let logger = EbpfLogger::init_with_logger(&mut self.ebpf, ToTracing)
            .map_err(KernelError::map("read kernel-side logs"))?;
        // SAFETY: the logger owns the map's descriptor, hands out the same one each time and
        // keeps it open until the AsyncFd is dropped.
        let mut fd = unsafe { AsyncFd::register(logger) }
            .map_err(KernelError::map("poll kernel-side logs"))?;
        tokio::spawn(async move {
            while let Ok(mut ready) = fd.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        });
        Ok(())
    }
}
