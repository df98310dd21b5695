//! `microgrid-gateway`: see the README for what it does and where things live.

mod access;
mod beacon;
mod bench;
mod broker;
mod cli;
mod clock;
mod config;
mod demo;
mod deposit;
mod failure;
mod fleet;
mod house;
mod narrate;
mod network;
mod operator;
mod radios;
mod receipt;
mod scan;
mod secrets;
mod setup;
mod simulate;
mod verbs;
mod web;

use clap::Parser;
use cli::{Chain, Cli, Journal, Verb};
use failure::{Code, Failure};
use std::io::Write;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|e| {
        // Help and version are no errors.
        let code = if e.use_stderr() { Code::Usage.number() } else { 0 };
        let _ = e.print();
        std::process::exit(i32::from(code));
    });
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whose terminal is lost has an exit code left.
            let _ = writeln!(std::io::stderr(), "microgrid-gateway: {failure}");
            ExitCode::from(failure.code.number())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let quiet = matches!(cli.verb, Verb::Demo(_) | Verb::Bench { .. });
    log_to_stderr(if quiet { tracing::Level::ERROR } else { tracing::Level::INFO });
    match cli.verb {
        Verb::Run(file) => verbs::run(&file),
        Verb::Demo(options) => demo::run(&options),
        Verb::Check { config, devices } => verbs::check(&config, devices),
        Verb::Config => verbs::print(config::DEFAULT),
        Verb::Models { model } => verbs::models(model.as_deref()),
        Verb::Probe { config, device, set, limit, hold } => verbs::probe(&config, &device, set, limit, hold),
        Verb::Topup(options) => deposit::run(&options),
        Verb::Account(verb) => verbs::account(&verb),
        Verb::Tariff(verb) => verbs::tariff(&verb),
        Verb::Meter(verb) => verbs::meter(&verb),
        Verb::Voucher(verb) => verbs::voucher(&verb),
        Verb::Token(verb) => verbs::token(&verb),
        Verb::Receipt { verb, make } => verbs::receipt(verb.as_ref(), &make),
        Verb::Access(verb) => verbs::access(&verb),
        Verb::Switch(order) => verbs::switch(&order),
        Verb::Emergency { config, account, by } => verbs::emergency(&config, &account, &by),
        Verb::Scan(options) => scan::run(&options),
        Verb::Simulate(file) => verbs::simulate(&file),
        Verb::Balance(options) => verbs::balance(&options),
        Verb::SimulateConsensus(options) => verbs::consensus(&options),
        Verb::Witness(verb) => verbs::witness(&verb),
        Verb::Fleet(verb) => verbs::fleet(&verb),
        Verb::Load(options) => verbs::load(&options),
        Verb::Locate(options) => verbs::locate(&options),
        Verb::Forecast(options) => verbs::forecast(&options),
        Verb::Tou(options) => verbs::tou(&options),
        Verb::Opf(options) => verbs::opf(&options),
        Verb::Flow(options) => verbs::flow(&options),
        Verb::Journal(Journal::Verify { copy, file }) => verbs::verify(&file.config, copy.as_deref()),
        Verb::Journal(Journal::Backup { to, file }) => verbs::backup(&file.config, &to),
        Verb::Journal(Journal::Restore { from, file, force, by }) => verbs::restore(&file.config, &from, force, &by),
        Verb::Journal(Journal::Tail { file, n }) => verbs::tail(&file.config, n),
        Verb::Journal(Journal::Export(file)) => verbs::export(&file.config),
        Verb::Key(what) => verbs::key::key(&what),
        Verb::Chain(Chain::Serve { config, faults }) => verbs::chain_serve(&config, faults),
        Verb::Chain(Chain::Deploy(file)) => verbs::chain_deploy(&file),
        Verb::Chain(Chain::DeployRanges { config, notice, gateways }) => {
            verbs::chain_deploy_ranges(&config, notice, &gateways)
        }
        Verb::Chain(Chain::DeployDispatch(file)) => verbs::chain_deploy_dispatch(&file),
        Verb::Setup(options) => setup::run(&options),
        Verb::Commission(options) => verbs::commission(&options),
        Verb::Chain(Chain::DeployRegister { config, signer }) => verbs::register::deploy(&config, &signer),
        Verb::Chain(Chain::Register { config, signer, dry_run, json }) => {
            verbs::register::register(&config, &signer, dry_run, json)
        }
        Verb::Doctor(options) => verbs::doctor(&options),
        Verb::Silence(options) => verbs::silence(&options),
        Verb::Papers(options) => verbs::papers(&options),
        Verb::Bench { r#for, json } => bench::run(r#for, json.as_deref()),
    }
}

/// Plain lines without colours or times when a journal collects them, colours on a terminal.
fn log_to_stderr(level: tracing::Level) {
    use std::io::IsTerminal;
    let terminal = std::io::stderr().is_terminal();
    // Our own words; of the libraries only what is wrong.
    let ours = ["microgrid_gateway", "actors", "broker", "drivers", "contracts", "ledger"].map(|name| (name, level));
    let only = Targets::new().with_default(tracing::Level::WARN).with_targets(ours);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(terminal);
    // It would complain on standard error that standard error is lost, and a switch may be open meanwhile.
    let lines = lines.log_internal_errors(false);
    let log = tracing_subscriber::registry().with(only);
    // Fails only if a log is set already, which nobody does before this.
    let _ = if terminal { log.with(lines).try_init() } else { log.with(lines.without_time()).try_init() };
}
