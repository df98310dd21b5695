//! Puts the simulated part of the street on real transports.

use crate::config::{Config, Meter, own_meter};
use crate::failure::{Code, Failure};
use domain::{Clock, Timestamp};
use drivers::simulator::{Fault, HomeSpec, InverterSpec, Running, SimDevice, Street, StreetSpec};
use drivers::simulator::{serve_gpio, serve_mqtt, serve_rtu, serve_tcp, serve_telegrams};
use drivers::{BusKind, DeviceAddress, MqttSpec, TelegramPlace, TelegramSpec};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Thousandths of the energy that the simulated street loses on its wires.
const LOSS_PERMILLE: u32 = 25;

/// How long the simulated meters have been counting when the street is first set up.
const HISTORY: Duration = Duration::from_secs(3 * 86_400);

/// The street behind this configuration's simulated meters.
pub fn street(config: &Config, clock: &Clock) -> Result<Arc<Street>, Failure> {
    let simulated = |m: &&Meter| config.buses.iter().any(|b| b.simulate && b.spec.id == m.bus);
    let homes = config.meters.iter().filter(simulated).filter(|m| m.account.is_some());
    let spec = StreetSpec {
        seed: config.simulator.seed,
        anchor: config.simulator.anchor.unwrap_or_else(|| clock.now()) - HISTORY,
        state: config.state.join("simulated-street.json"),
        homes: homes
            .map(|m| HomeSpec { meter: m.id.clone(), pv_peak: m.home.pv_peak, scale_permille: m.home.scale_permille })
            .collect(),
        feeder: config.meters.iter().filter(simulated).find(|m| m.account.is_none()).map(|m| m.id.clone()),
        loss_permille: LOSS_PERMILLE,
    };
    let fault = |m: &Meter| Fault { takes: m.home.theft, counts: m.home.counts, since: Timestamp(0) };
    let faults = config.meters.iter().filter(simulated).map(|m| (m.id.clone(), fault(m)));
    Street::open_with(spec, faults.collect(), clock.clone())
        .map_err(|e| Failure::new(Code::Unavailable, format!("the simulated street cannot be set up: {e}")))
}

/// The same for a verb that may run beside the service, which then serves them already.
pub async fn serve_unless_running(config: &Config, clock: &Clock) -> Result<Vec<Running>, Failure> {
    if crate::house::runs(config) { Ok(Vec::new()) } else { serve(config, clock).await }
}

/// Serves every simulated bus until the answer is dropped.
pub async fn serve(config: &Config, clock: &Clock) -> Result<Vec<Running>, Failure> {
    if !config.is_simulated() {
        return Ok(Vec::new());
    }
    std::fs::create_dir_all(&config.state)
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot create {}: {e}", config.state.display())))?;
    let street = street(config, clock)?;
    let mut running = Vec::new();
    for bus in config.buses.iter().filter(|b| b.simulate) {
        let failed = |what: &dyn std::fmt::Display| {
            Failure::new(Code::Unavailable, format!("simulated bus {} cannot be served: {what}", bus.spec.id))
        };
        let mut devices: Vec<SimDevice> = Vec::new();
        for meter in config.meters.iter().filter(|m| m.bus == bus.spec.id) {
            let Some(what) = street.appliance(&meter.id) else {
                return Err(Failure::new(
                    Code::Config,
                    format!("meter {}: the simulator serves one feeder meter, and there is another", meter.id),
                ));
            };
            devices.push(SimDevice::new(meter.address.clone(), Arc::clone(&meter.template), what));
        }
        for switch in config.switches.iter().filter(|s| s.bus == bus.spec.id) {
            if devices.iter().any(|d: &SimDevice| d.address == switch.address) {
                continue;
            }
            // A relay board beside the meter: it switches the home of its account's first meter.
            let meter = config.meters.iter().find(|m| m.account.as_ref() == Some(&switch.account));
            let Some(what) = meter.and_then(|m| street.appliance(&m.id)) else { continue };
            devices.push(SimDevice::new(switch.address.clone(), Arc::clone(&switch.template), what));
        }
        for inverter in config.inverters.iter().filter(|i| i.bus == bus.spec.id) {
            let spec = own_meter(&inverter.id).map(|name| InverterSpec {
                name,
                rated: inverter.rated,
                obeys: !inverter.ignores_limit,
            });
            let Some(what) = spec.and_then(|spec| street.roof(&inverter.meter, spec)) else {
                let what = format!("inverter {}: it is simulated, so meter {} must be", inverter.id, inverter.meter);
                return Err(Failure::new(Code::Config, what));
            };
            devices.push(SimDevice::new(inverter.address.clone(), Arc::clone(&inverter.template), what));
        }
        running.push(match &bus.spec.kind {
            BusKind::ModbusTcp { address, .. } => {
                let listener = TcpListener::bind(address).await.map_err(|e| failed(&format!("{address}: {e}")))?;
                serve_tcp(listener, devices).map_err(|e| failed(&e))?
            }
            BusKind::ModbusRtu { port, baud, .. } => serve_rtu(port, *baud, devices).map_err(|e| failed(&e))?,
            BusKind::ModbusTls { address, .. } => {
                return Err(failed(&format!(
                    "{address}: the simulator has no certificate of its own; leave tls_ca out"
                )));
            }
            BusKind::RtuOverTcp { address, .. } => {
                return Err(failed(&format!("{address}: a serial server cannot be simulated, only what is behind it")));
            }
            BusKind::Telegram(TelegramSpec { place: TelegramPlace::Tcp(address), .. }) => {
                return Err(failed(&format!(
                    "{address}: an adapter cannot be simulated, only a meter on a serial port"
                )));
            }
            BusKind::Telegram(TelegramSpec { place: TelegramPlace::Serial(port), .. }) => {
                // Without a meter there is nothing to hear.
                let Some(device) = devices.into_iter().next() else { continue };
                let period = config.meters.iter().find(|m| m.bus == bus.spec.id).map(|m| m.period);
                let period = period.unwrap_or(Duration::from_secs(10));
                serve_telegrams(port, device, period, clock).map_err(|e| failed(&e))?
            }
            BusKind::Gpio(spec) => serve_gpio(&spec.chip, devices, clock).map_err(|e| failed(&e))?,
            BusKind::Mqtt(spec) => {
                let client_id = format!("simulated-{}", bus.spec.id);
                let period = config.meters.iter().filter(|m| m.bus == bus.spec.id).map(|m| m.period).min();
                let spec = MqttSpec { client_id, ..spec.clone() };
                serve_mqtt(spec, devices, period.unwrap_or(Duration::from_secs(10)), clock).map_err(|e| failed(&e))?
            }
        });
    }
    Ok(running)
}

/// One line per simulated bus, for people who want to read it with another program.
#[must_use]
pub fn describe(config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    for bus in config.buses.iter().filter(|b| b.simulate) {
        let place = match &bus.spec.kind {
            BusKind::ModbusTcp { address, .. } => format!("modbus-tcp on {address}"),
            BusKind::ModbusRtu { port, baud, .. } => format!("modbus-rtu on {} at {baud} baud", port.display()),
            BusKind::ModbusTls { address, .. } => format!("modbus-tcp with TLS on {address}"),
            BusKind::RtuOverTcp { address, .. } => format!("modbus-rtu through {address}"),
            BusKind::Mqtt(spec) => format!("mqtt through {}", spec.broker),
            BusKind::Telegram(TelegramSpec { place: TelegramPlace::Serial(port), .. }) => {
                format!("telegrams on {}", port.display())
            }
            BusKind::Telegram(TelegramSpec { place: TelegramPlace::Tcp(address), .. }) => {
                format!("telegrams from {address}")
            }
            BusKind::Gpio(spec) => format!("{} within this process only", spec.chip.display()),
        };
        for meter in config.meters.iter().filter(|m| m.bus == bus.spec.id) {
            let at = match &meter.address {
                DeviceAddress::Unit(unit) => format!(", unit {unit}"),
                DeviceAddress::Topic(topic) => format!(", topic {topic}"),
                DeviceAddress::Alone => String::new(),
                at @ (DeviceAddress::Pulses(_) | DeviceAddress::Output(_)) => format!(", {at}"),
            };
            lines.push(format!("{}: {place}{at}, model {}", meter.id, meter.template.model));
        }
    }
    lines
}
