//! What is measured: the service, one that runs already, or another stack with the same API.

mod baseline;
mod process;
mod replicas;
mod running;
mod service;

use crate::Result;
use crate::client::{Connection, Endpoint};

pub use baseline::Baseline;
pub use replicas::Replicas;
pub use running::Running;
pub use service::Service;

/// A system under load, as a scenario sees it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its API.
    pub endpoint: Endpoint,
    /// Ids of its bots.
    pub bots: Vec<String>,
    /// Its processes; their children belong to them.
    pub roots: Vec<u32>,
}

/// A system that can be measured.
pub enum System {
    /// The service, started here.
    Service(Box<Service>),
    /// The same as two processes with a broker between them.
    Replicas(Box<Replicas>),
    /// A service that somebody else started.
    Running(Running),
    /// The other stack.
    Baseline(Baseline),
}

impl System {
    /// Its name in the results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Service(_) | Self::Running(_) => "service",
            Self::Replicas(_) => "replicas",
            Self::Baseline(_) => "baseline",
        }
    }

    /// Makes it ready for a run: started, with so many bots, sending on or accepting only.
    pub async fn ready(&mut self, bots: usize, worker: bool) -> Result<Target> {
        match self {
            Self::Service(service) => service.ready(bots, worker).await,
            Self::Replicas(replicas) => replicas.ready(bots, worker).await,
            Self::Running(running) if worker => running.ready(bots).await,
            Self::Running(_) => Err("the workers of a running service are not ours to stop".into()),
            Self::Baseline(baseline) => baseline.ready(worker).await,
        }
    }

    /// Before the next repeat: everything starts afresh.
    pub async fn refresh(&mut self) -> Result<()> {
        match self {
            Self::Service(service) => service.stop().await,
            Self::Replicas(replicas) => replicas.stop().await,
            Self::Running(_) | Self::Baseline(_) => Ok(()),
        }
    }

    /// Ends what was started.
    pub async fn stop(&mut self) -> Result<()> {
        match self {
            Self::Service(service) => service.stop().await,
            Self::Replicas(replicas) => replicas.stop().await,
            Self::Running(_) => Ok(()),
            Self::Baseline(baseline) => baseline.stop().await,
        }
    }
}

/// Connects bots through the API until there are so many; those that are connected already are found by their list.
async fn connect_bots(endpoint: &Endpoint, bots: &mut Vec<String>, wanted: usize) -> Result<()> {
    let mut connection = Connection::new(endpoint.address);
    while bots.len() < wanted {
        let id = 700_000_000 + bots.len();
        let body = serde_json::json!({ "token": format!("{id}:{id:035}") }).to_string();
        let (status, answer) =
            connection.send(endpoint.request("/api/integrations/telegram/bots", Some(body))?).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        match answer["id"].as_str() {
            Some(id) if status == 201 => bots.push(id.to_owned()),
            _ => return Err(format!("a bot could not be connected: {status} {answer}").into()),
        }
    }
    Ok(())
}
