//! A HAProxy.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{free_ports, listens, until};

/// A running gateway; it ends with its value.
#[derive(Debug)]
pub struct HaProxy {
    port: u16,
    process: Child,
}

impl HaProxy {
    /// Starts one by its configuration, which takes where to listen from the variable `GATEWAY_BIND`, and the rest from `environment`.
    ///
    /// # Panics
    /// HAProxy is not installed, or does not take the configuration.
    pub fn start(configuration: &Path, environment: &[(&str, String)]) -> Self {
        let [port] = free_ports();
        let mut command = Command::new("/usr/sbin/haproxy");
        // In the foreground.
        command.arg("-db").arg("-f").arg(configuration);
        command.env("GATEWAY_BIND", format!("127.0.0.1:{port}"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let process = command.spawn().expect("HAProxy is installed: scripts/setup.sh test");
        let mut gateway = Self { port, process };
        until("the gateway listens", || {
            let has_ended = gateway.process.try_wait().is_ok_and(|status| status.is_some());
            assert!(!has_ended, "HAProxy does not run with {}", configuration.display());
            listens(port)
        });
        gateway
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
