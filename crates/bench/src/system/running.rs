//! A service that runs already; its Bot API address is the stand-in's.

use std::net::SocketAddr;
use std::path::Path;

use super::{Target, connect_bots};
use crate::Result;
use crate::client::{Connection, Endpoint};

/// The service at an address.
pub struct Running {
    endpoint: Endpoint,
    bots: Vec<String>,
    roots: Vec<u32>,
}

impl Running {
    /// The service at this address, called with the token in the file; the process is watched.
    pub fn new(address: SocketAddr, token_file: &Path, pid: Option<u32>) -> Result<Self> {
        let token =
            std::fs::read_to_string(token_file).map_err(|error| format!("{}: {error}", token_file.display()))?;
        Ok(Self { endpoint: Endpoint::new(address, &token)?, bots: Vec::new(), roots: pid.into_iter().collect() })
    }

    /// Finds the bots that are connected and connects what lacks.
    pub async fn ready(&mut self, bots: usize) -> Result<Target> {
        if self.bots.is_empty() {
            self.find_bots().await?;
        }
        connect_bots(&self.endpoint, &mut self.bots, bots).await?;
        Ok(Target { endpoint: self.endpoint.clone(), bots: self.bots.clone(), roots: self.roots.clone() })
    }

    async fn find_bots(&mut self) -> Result<()> {
        let mut connection = Connection::new(self.endpoint.address);
        let mut cursor = String::new();
        loop {
            let path = format!("/api/integrations/telegram/bots?limit=50{cursor}");
            let (status, answer) = connection.send(self.endpoint.request(&path, None)?).await?;
            let page: serde_json::Value = serde_json::from_slice(&answer)?;
            let Some(items) = page["items"].as_array().filter(|_| status == 200) else {
                return Err(format!("the bots could not be listed: {status} {page}").into());
            };
            self.bots.extend(items.iter().filter_map(|bot| bot["id"].as_str()).map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(()),
            }
        }
    }
}
