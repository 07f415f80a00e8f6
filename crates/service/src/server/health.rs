//! What a process without an API tells of itself.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::{
    api::health::{self, HealthState},
    http::{ServerOptions, serve},
    shutdown::Shutdown,
};

/// Starts to answer; returns where. While the process ends, it is not ready.
pub async fn start(
    address: SocketAddr,
    state: HealthState,
    shutdown: &Shutdown,
) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address} (setting worker.bind): {error}"))?;
    let bound = listener.local_addr()?;
    let (soft, readiness) = (shutdown.soft.clone(), state.readiness.clone());
    shutdown.tasks.spawn(async move {
        serve(listener, health::router(state), ServerOptions::default(), soft).await;
        readiness.stop();
    });
    Ok(bound)
}
