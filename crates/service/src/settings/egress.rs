//! Section `egress`: where addresses that users give may lead.

use super::reader::Reader;
use crate::http::Network;

/// Where addresses that users give may lead.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// The ports that they may name.
    pub ports: Vec<u16>,
    /// Networks that they may lead to, at any port, although they are not public.
    pub allow: Vec<Network>,
}

impl EgressSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let ports = from.list("ports", "ports, such as 443", |text| text.parse::<u16>().is_ok_and(|port| port > 0));
        let allow =
            from.list("allow", "addresses or networks, such as 10.1.0.0/16", |text| text.parse::<Network>().is_ok());
        // Both were checked.
        Self {
            ports: ports.iter().filter_map(|text| text.parse().ok()).collect(),
            allow: allow.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}
