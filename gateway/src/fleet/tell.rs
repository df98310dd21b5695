//! Tells the neighbours, now and then, how this gateway is.

use super::said::{State, seal};
use super::{EVERY, topic};
use crate::config::{ChainKind, Config};
use crate::house::VERSION;
use actors::{Board, Scribe};
use contracts::key::Signer;
use domain::{Clock, Timestamp};
use drivers::MqttSpec;
use drivers::mqtt::Link;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a gateway tells from.
pub struct Teller {
    /// Its configuration.
    pub config: Arc<Config>,
    /// Its clock.
    pub clock: Clock,
    /// Its ledger.
    pub scribe: Scribe,
    /// What is of the moment.
    pub board: Board,
    /// Who signs: the settler.
    pub signer: Arc<dyn Signer>,
}

/// Tells from now on, for as long as the gateway runs; without a broker there is nobody to tell.
pub fn start(teller: Teller) {
    let Some(broker) = &teller.config.broker else { return };
    let link = Link::connect(
        MqttSpec {
            broker: broker.listen.to_string(),
            client_id: format!("microgrid-gateway-{}-fleet", teller.config.site),
            credentials: broker.own(),
        },
        None,
    );
    actix::spawn(async move {
        let topic = topic(&teller.config.site, teller.signer.address());
        loop {
            match teller.message().await {
                Ok(message) => {
                    // A broker that is away for so long is told the next time.
                    let _ = link.try_publish(&topic, message, true);
                }
                Err(error) => tracing::warn!(%error, "the neighbours are not told how this gateway is"),
            }
            tokio::time::sleep(EVERY).await;
        }
    });
}

impl Teller {
    async fn message(&self) -> Result<Vec<u8>, String> {
        seal(&self.state().await?, &*self.signer)
    }

    async fn state(&self) -> Result<State, String> {
        let totals = self.scribe.read(ledger::Ledger::totals).await.map_err(|e| e.to_string())?;
        let live = self.board.look();
        let shared = matches!(self.config.chain.kind, ChainKind::Rpc { .. });
        let ailing = live.devices.values().filter(|d| !d.ok).count()
            + live.switches.values().filter(|s| s.problem.is_some() || s.suspicion.is_some()).count();
        Ok(State {
            site: self.config.site.clone(),
            at: self.clock.now(),
            clock_trusted: live.clock_problem.is_none(),
            version: VERSION.into(),
            config: self.config.digest.clone(),
            tariff: tariff(&self.config)?,
            chain_id: self.config.chain.chain_id,
            provider: live.chain.provider.clone().filter(|_| shared),
            witness: self.config.chain.witness.map(|at| at.to_string()),
            block: live.chain.block,
            settled_batches: totals.settled_batches,
            pending_wh: (totals.billed - totals.settled).0,
            readings: totals.readings,
            devices_ailing: ailing,
            ledger_ok: live.ledger_problem.is_none(),
            chain_ok: live.chain.problem.is_none(),
        })
    }
}

/// What neighbours compare: the terms that a configuration has, whatever number and day the ledger gave them.
fn tariff(config: &Config) -> Result<String, String> {
    let terms = domain::Tariff { version: 0, since: Timestamp(0), ..config.tariff.clone() };
    let text = serde_json::to_vec(&(terms, &config.currency.code, config.currency.decimals));
    Ok(hex::encode(Sha256::digest(text.map_err(|e| e.to_string())?)))
}
