use super::*;
use domain::{Block, Money, OnSilence, Period, Price, Rates, WattHours};
use drivers::{BusKind, Parity, TelegramPlace};
use proptest::prelude::*;

mod broker;
mod fuzz;
mod gpio;
mod location;
mod supply;

/// A street that uses every key there is.
const FULL: &str = r#"
[site]
name = "lane"
timezone = "Europe/Madrid"
state = "state"
currency = "CHF"
decimals = 6

[tariff]
off_peak = "0.18"
peak = "0.32"
feed_in = "0.08"
peak_hours = ["17:00-22:00", "07:00-09:00"]
interval = "30m"
network_fee = "0.04"
tax = "7.125%"
daily_charge = "0.25"
demand_charge = "2.50"
lifeline_wh = 300
pool_share = "60%"
block_period = "day"
ranges = "forecast"

[[tariff.block]]
above_kwh = 5
surcharge = "-0.05"

[[tariff.class]]
id = "shop"
peak = "0.38"

[forecast]
at = "19:00"
interval = "15m"
least_days = 21
notice = "3h"
min_run = "90m"
max_switches = 2
hysteresis = "5%"
seed = 42

[enforce]
lease = "20m"
stale_after = "90s"

[feeder]
meters = ["feeder"]
interval = "10m"
window = "240h"
resistance_ohm = "0.12"
loss_permille = 20
voltage = 400
meter_error = "2%"
own_use = 2
register_step = 10
alarm_confidence = "99%"

[ledger]
keep_readings = "30d"
keep_lines = "10y"

[broker]
listen = "127.0.0.1:1883"

[home_assistant]
discovery_prefix = "ha"

[web]
listen = "127.0.0.1:8080"

[chain]
kind = "embedded"
chain_id = 31337
rpc_listen = "127.0.0.1:8545"
settle_every = "5m"
confirmations = 3
first_account = 1001
max_fee_gwei = 40
patience = "90s"
exit_delay = "7d"
operator = "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"
challenge_window = "31d"
max_network_fee = "0.05"
key_file = "keys/mine.key"
password_file = "keys/mine.password"
provider = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
fund = ["0x70997970c51812dc3a010c7d01b50e0d17dc79c8"]

[location]
epoch = "45m"
false_rejections = "3%"
false_holds = "0.5%"
window = 12
reach = 25
samples = 7
hold = true

[[radio]]
id = "nodes"
kind = "espresense"
broker = "embedded"

[[radio]]
id = "loft"
kind = "bridge"
port = "/dev/ttyUSB9"

[[anchor]]
id = "gate"
radio = "nodes"
node = "Gate-Node"
position = [0, 12.5]

[[anchor]]
id = "well"
radio = "nodes"
position = [-9.0, -6.25]

[[anchor]]
id = "loft"
radio = "loft"
position = [11.0, -4.0]

[[bus]]
id = "rtu0"
kind = "modbus-rtu"
port = "/dev/ttyUSB7"
baud = 19200
parity = "even"
stop_bits = 2
timeout = "300ms"

[[bus]]
id = "lan"
kind = "modbus-tcp"
address = "meter.lan:502"
timeout = "2s"
pipeline = 8

[[bus]]
id = "air"
kind = "mqtt"
broker = "embedded"

[[bus]]
id = "elsewhere"
kind = "mqtt"
broker = "broker.lan:1883"

[[bus]]
id = "p1"
kind = "telegram"
port = "/dev/ttyUSB8"
baud = 9600
parity = 'even'

[[account]]
id = "hall"
low_at = "2.50"
restore_at = "0.75"

[[account]]
id = "barn"
holder = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc"
protected = true
class = "shop"
debt_share = "30%"

[[operator]]
name = "ada"
address = "0x90f79bf6eb2c4f870365e785982e1f101e93b906"
voucher_limit = "20.00"

[[operator]]
name = "bo"
address = "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65"
voucher_limit = "5"

[[meter]]
id = "hall"
bus = "rtu0"
unit = 1
model = "eastron-sdm230"
account = "hall"
period = "15s"
max_power = 9000
position = [1.5, -2.0]
beacon = { sender = "iBeacon:426C7565-4368-6172-6d42-6561636f6e73-1-2", at_one_metre = -59.5, exponent = 2.75, spread = 2.5 }

[[meter]]
id = "barn"
bus = "air"
topic = "barn/plug"
model = "shelly-plus-1pm"
account = "barn"

[[meter]]
id = "feeder"
bus = "lan"
unit = 255
model = "eastron-sdm630"

[[meter]]
id = "shed"
bus = "p1"
model = "dsmr-p1"
period = "20s"

[[switch]]
id = "hall"
account = "hall"
bus = "rtu0"
unit = 101
model = "modbus-relay-coil:2"
on_silence = "open"
point = "ES0021000000000001JN"
"#;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse("gateway.toml", text, Path::new("/etc/lane"))
}

#[track_caller]
fn sound(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let config = sound(FULL);
    assert_eq!((config.site.as_str(), config.discovery.as_str()), ("lane", "ha"));
    assert_eq!((config.currency.code.as_str(), config.currency.decimals), ("CHF", 6));
    // 0.32 per kWh is 320 millionths per Wh.
    assert_eq!(
        (config.tariff.rates.off_peak.0, config.tariff.rates.peak.0, config.tariff.rates.feed_in.0),
        (180, 320, 80)
    );
    assert_eq!(config.tariff.peak_hours.len(), 2);
    let rates = &config.tariff.rates;
    assert_eq!((rates.network, rates.tax_ppm, rates.daily, rates.demand.0), (Price(40), 71_250, Money(250_000), 2_500));
    assert_eq!((rates.lifeline, rates.block_period), (WattHours(300), Period::Day));
    assert_eq!(rates.blocks, [Block { above: WattHours(5_000), surcharge: -50 }]);
    let shop = config.accounts[1].class.as_ref().unwrap();
    assert_eq!(config.tariff.rates(Some(shop)), &Rates { peak: Price(380), ..rates.clone() });
    assert_eq!((config.accounts[1].debt_share.get(), config.tariff.pool_share.get()), (300, 600));
    assert_eq!((config.tariff.interval_s, config.lease), (1800, Duration::from_secs(1200)));
    assert_eq!(config.stale_after, Duration::from_secs(90));
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    assert_eq!((config.keep.readings, config.keep.lines), (days(30), days(3_660)));
    assert_eq!(config.web.as_ref().unwrap().listen, "127.0.0.1:8080".parse().unwrap());

    let feeder = &config.feeder;
    let ids = |meters: &[MeterId]| meters.iter().map(MeterId::to_string).collect::<Vec<_>>().join(" ");
    // A meter of nobody's that is no feeder meter counts what somebody uses.
    assert_eq!((ids(&feeder.meters).as_str(), ids(&feeder.homes).as_str()), ("feeder", "hall barn shed"));
    assert_eq!((feeder.interval, feeder.window), (Duration::from_secs(600), Duration::from_secs(864_000)));
    let s = feeder.settings;
    assert_eq!((s.resistance, s.voltage), (domain::Ohms::finite(0.12), domain::Volts::finite(400.0).unwrap()));
    assert_eq!((s.loss, s.meter_error), (domain::Permille::new(20), domain::Permille::new(20).unwrap()));
    assert_eq!((s.own_use, s.step, s.confidence.get()), (Watts(2), domain::WattHours(10), 990));

    let ChainKind::Embedded { rpc, fund } = &config.chain.kind else { panic!("{:?}", config.chain) };
    assert_eq!((*rpc, fund.len()), (Some("127.0.0.1:8545".parse().unwrap()), 1));
    assert_eq!((config.chain.chain_id, config.chain.confirmations), (31337, 3));
    assert_eq!(config.chain.settle_every, Duration::from_secs(300));
    assert!(config.chain.provider.is_some());
    assert_eq!(config.chain.first_account, 1001);
    assert_eq!((config.chain.max_fee_gwei, config.chain.patience), (40, Duration::from_secs(90)));
    let terms = config.chain.agreed;
    assert_eq!((terms.exit_delay, terms.window), (Some(604_800), Some(2_678_400)));
    assert_eq!((terms.max_network_fee, terms.registry.is_some()), (Some(Price(50)), true));
    assert_eq!(config.accounts.iter().map(|a| a.holder.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(config.switches[0].point, contracts::provider::name_word("ES0021000000000001JN"));

    let BusKind::ModbusRtu { port, baud, parity, stop_bits, timeout } = &config.buses[0].spec.kind else {
        panic!("{:?}", config.buses[0])
    };
    assert_eq!((port.as_path(), *baud, *parity), (Path::new("/dev/ttyUSB7"), 19_200, Parity::Even));
    assert_eq!((*stop_bits, *timeout), (2, Duration::from_millis(300)));
    assert_eq!((config.buses[0].spec.pipeline, config.buses[1].spec.pipeline), (1, 8));
    let broker = config.broker.as_ref().unwrap();
    assert_eq!(config.buses.iter().map(|b| b.uses(broker)).collect::<Vec<_>>(), [false, false, true, false, false]);
    let BusKind::Telegram(spec) = &config.buses[4].spec.kind else { panic!("{:?}", config.buses[4]) };
    assert_eq!(spec.place, TelegramPlace::Serial("/dev/ttyUSB8".into()));
    assert_eq!((spec.baud, spec.parity, spec.timeout), (Some(9600), Some(Parity::Even), Duration::from_secs(2)));

    assert_eq!(
        config.accounts[0].terms.rule,
        domain::CreditRule { low_at: domain::Money(2_500_000), restore_at: domain::Money(750_000) }
    );
    assert!(!config.accounts[0].terms.protected && config.accounts[1].terms.protected);
    let ada = &config.operators[0];
    assert_eq!((ada.name.as_str(), ada.voucher_limit, config.operators.len()), ("ada", domain::Money(20_000_000), 2));
    assert_eq!(config.operators[1].address.to_string().to_lowercase(), "0x15d34aaf54267db7d7c367839aaf71a00a2c6a65");
    let hall = &config.meters[0];
    assert_eq!((&hall.address, hall.max_power), (&DeviceAddress::Unit(1), Watts(9000)));
    assert_eq!(hall.period, Duration::from_secs(15));
    assert_eq!(config.meters[1].address, DeviceAddress::Topic("barn/plug".into()));
    assert_eq!(config.meters[2].account, None);
    assert_eq!(config.meters[3].address, DeviceAddress::Alone);
    assert_eq!(config.switches[0].rule.on_silence, OnSilence::Open);
    assert_eq!(config.switches[0].template.model, "modbus-relay-coil:2");
    assert!(!config.is_simulated());
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let wanted = Forecast {
        at_minute: 19 * 60,
        interval: minutes(15),
        least_days: 21,
        notice: minutes(180),
        min_run: minutes(90),
        max_switches: 2,
        hysteresis: 50,
        seed: 42,
    };
    assert_eq!(config.forecast, Some(wanted));
}

#[test]
fn relative_paths_are_meant_from_where_the_file_is() {
    let config = sound(FULL);
    assert_eq!(config.state, Path::new("/etc/lane/state"));
    assert_eq!(config.chain.key_file, Path::new("/etc/lane/keys/mine.key"));
    assert_eq!(config.chain.password_file.as_deref(), Some(Path::new("/etc/lane/keys/mine.password")));
    let config = sound(&FULL.replace("key_file = \"keys/mine.key\"\n", "").replace("\"state\"", "\"/var/lib/lane\""));
    assert_eq!(config.chain.key_file, Path::new("/var/lib/lane/keys/settler.key"));
}

#[test]
fn the_printed_default_is_sound_and_says_what_is_the_default() {
    let mut printed = sound(DEFAULT);
    // The same without everything that has a default.
    let bare = sound(
        "[site]\nname = \"my-street\"\nstate = \"/var/lib/microgrid-gateway\"\n\
         [tariff]\noff_peak = \"0.18\"\npeak = \"0.32\"\nfeed_in = \"0.08\"\npeak_hours = [\"17:00-22:00\"]\n\
         [broker]\nlisten = \"127.0.0.1:1883\"\n[web]\nlisten = \"127.0.0.1:8080\"\n\
         [chain]\nkind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:8545\"\n",
    );
    // Two texts that say the same.
    printed.digest.clone_from(&bare.digest);
    assert_eq!(format!("{printed:?}"), format!("{bare:?}"));
}

#[test]
fn durations_are_a_number_and_a_unit() {
    for (text, ms) in [("500ms", 500), ("10s", 10_000), ("15m", 900_000), ("1h", 3_600_000), ("0s", 0)] {
        assert_eq!(span(text), Some(Duration::from_millis(ms)), "{text}");
    }
    for text in
        ["", "10", "s", "-1s", "1.5s", "1 s", "1d", "10S", "99999999999999999999s", "18446744073709551615h", "١s"]
    {
        assert_eq!(span(text), None, "{text}");
    }
}

/// What is changed, what it becomes, what is complained about, and a part of the complaint.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("name = \"lane\"", "name = \"my lane\"", "site.name", "my lane"),
    ("name = \"lane\"", "name = 5", "site.name", "must be a text"),
    ("state = \"state\"", "state = \"\"", "site.state", "is empty"),
    ("\"Europe/Madrid\"", "\"Europe/Madird\"", "site.timezone", "Madird"),
    ("\"CHF\"", "\"Fr.\"", "site.currency", "ISO 4217"),
    ("decimals = 6", "decimals = 12", "site.decimals", "from 3 to 9"),
    ("ranges = \"forecast\"", "ranges = \"guess\"", "tariff.ranges", "\"fixed\" or \"forecast\""),
    ("at = \"19:00\"", "at = \"7 pm\"", "forecast.at", "such as \"18:00\""),
    ("at = \"19:00\"", "at = \"22:00\"", "forecast.at", "too late"),
    ("interval = \"15m\"", "interval = \"20m\"", "forecast.interval", "\"15m\", \"30m\" or \"1h\""),
    ("min_run = \"90m\"", "min_run = \"100m\"", "forecast.min_run", "whole intervals"),
    ("least_days = 21", "least_days = 1", "forecast.least_days", "from 3 to 365"),
    ("hysteresis = \"5%\"", "hysteresis = \"5\"", "forecast.hysteresis", "5"),
    ("off_peak = \"0.18\"", "off_peak = 0.18", "tariff.off_peak", "must be a text"),
    ("off_peak = \"0.18\"", "off_peak = \"-0.18\"", "tariff.off_peak", "must not be negative"),
    ("off_peak = \"0.18\"", "off_peak = \"0.1801\"", "tariff.off_peak", "finer than 6 decimals"),
    ("peak = \"0.32\"\n", "", "tariff.peak", "is missing"),
    ("\"07:00-09:00\"", "\"07:00-18:00\"", "tariff.peak_hours", ""),
    ("\"07:00-09:00\"", "\"7 to 9\"", "tariff.peak_hours", "7 to 9"),
    ("\"30m\"", "\"25h\"", "tariff.interval", "25h"),
    ("\"30m\"", "\"7m\"", "tariff.interval", "does not divide a day"),
    ("\"30m\"", "\"1500ms\"", "tariff.interval", "whole seconds"),
    ("\"7.125%\"", "\"7.125\"", "tariff.tax", "such as \"19%\""),
    ("\"7.125%\"", "\"101%\"", "tariff.tax", "from 0% to 100%"),
    ("daily_charge = \"0.25\"", "daily_charge = \"-0.25\"", "tariff.daily_charge", "must not be negative"),
    (
        "demand_charge = \"2.50\"",
        "demand_charge = \"2.5001\"",
        "tariff.demand_charge",
        "finer than 6 decimals can price a W",
    ),
    ("\"60%\"", "\"160%\"", "tariff.pool_share", "is no share"),
    ("block_period = \"day\"", "block_period = \"week\"", "tariff.block_period", "\"day\" or \"month\""),
    ("above_kwh = 5\n", "", "tariff.block[1].above_kwh", "is missing"),
    ("\"-0.05\"", "\"-0.19\"", "tariff.block[1].surcharge", "cheaper than nothing"),
    ("\"-0.05\"", "\"0.0001\"", "tariff.block[1].surcharge", "finer or larger"),
    ("class = \"shop\"", "class = \"ship\"", "account[2].class", "which no [[tariff.class]] describes (there: shop)"),
    ("\"30%\"", "\"300\"", "account[2].debt_share", "is no share"),
    ("\"20m\"", "\"20 minutes\"", "enforce.lease", "must be a duration"),
    ("stale_after", "stale-after", "enforce.stale-after", "did you mean \"stale_after\"?"),
    ("\"30d\"", "\"30\"", "ledger.keep_readings", "\"forever\" or at least 7 days"),
    ("\"30d\"", "\"6d\"", "ledger.keep_readings", "at least 7 days"),
    (
        "\"30d\"\nkeep_lines = \"10y\"",
        "\"forever\"\nkeep_lines = \"10y\"",
        "ledger.keep_lines",
        "must not be shorter than keep_readings",
    ),
    ("\"10y\"", "\"20d\"", "ledger.keep_lines", "must not be shorter than keep_readings"),
    ("\"10y\"", "\"1001y\"", "ledger.keep_lines", "such as \"90d\" or \"10y\""),
    ("keep_lines", "keep_line", "ledger.keep_line", "did you mean \"keep_lines\"?"),
    ("\"127.0.0.1:8080\"", "\"localhost:8080\"", "web.listen", "IP address"),
    ("\"127.0.0.1:8080\"", "\"0.0.0.0:8080\"", "web.listen", "loopback"),
    ("\"127.0.0.1:8545\"", "\"[::]:8545\"", "chain.rpc_listen", "loopback"),
    ("chain_id = 31337\n", "", "chain.chain_id", "is missing"),
    ("chain_id = 31337", "chain_id = 0", "chain.chain_id", "from 1"),
    ("chain_id = 31337", "chain_id = 31337\nurl = \"http://node:8545\"", "chain.url", "embedded"),
    ("\"keys/mine.password\"", "7", "chain.password_file", "must be a text"),
    ("first_account = 1001", "first_account = 0", "chain.first_account", "from 1 to"),
    ("max_fee_gwei = 40", "max_fee_gwei = 0", "chain.max_fee_gwei", "from 1 to 1000000"),
    ("patience = \"90s\"", "patience = \"soon\"", "chain.patience", "duration"),
    ("\"ES0021000000000001JN\"", "\"0x00\"", "switch[1].point", "1 to 32 bytes"),
    ("\"ES0021000000000001JN\"", "\"a connection point with too long a name\"", "switch[1].point", "1 to 32 bytes"),
    ("exit_delay = \"7d\"", "exit_delay = \"5m\"", "chain.exit_delay", "from 600s to 90d"),
    ("exit_delay = \"7d\"", "exit_delay = \"forever\"", "chain.exit_delay", "from 600s to 90d"),
    ("operator = \"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512\"", "operator = \"0xe7\"", "chain.operator", "0xe7"),
    ("challenge_window = \"31d\"", "challenge_window = \"91d\"", "chain.challenge_window", "from 3600s to 90d"),
    ("max_network_fee = \"0.05\"", "max_network_fee = \"-1\"", "chain.max_network_fee", "negative"),
    (
        "\"0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc\"",
        "\"0x0000000000000000000000000000000000000000\"",
        "account[2].holder",
        "zero",
    ),
    ("confirmations = 3", "confirmations = 0", "chain.confirmations", "from 1 to 1000"),
    ("\"0x5fbdb2315678afecb367f032d93f642f64180aa3\"", "\"0x5fbd\"", "chain.provider", "0x5fbd"),
    ("\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\"", "\"nobody\"", "chain.fund", "nobody"),
    ("epoch = \"45m\"", "epoch = \"25h\"", "location.epoch", "from 1s to 86400s"),
    ("false_rejections = \"3%\"", "false_rejections = \"30%\"", "location.false_rejections", "from 0.1% to 20%"),
    ("false_holds = \"0.5%\"", "false_holds = \"0.5\"", "location.false_holds", "is no share"),
    ("window = 12", "window = 2", "location.window", "too short"),
    ("samples = 7", "samples = 0", "location.samples", "from 1 to 200"),
    ("hold = true", "hold = \"yes\"", "location.hold", "true or false"),
    ("kind = \"bridge\"", "kind = \"bridgd\"", "radio[2].kind", "did you mean \"bridge\"?"),
    ("port = \"/dev/ttyUSB9\"\n", "", "radio[2].port", "is missing"),
    ("id = \"well\"\nradio", "id = \"gate\"\nradio", "anchor[2].id", "another anchor"),
    ("radio = \"loft\"", "radio = \"lofd\"", "anchor[3].radio", "did you mean \"loft\"?"),
    ("\"Gate-Node\"", "\"gate/node\"", "anchor[1].node", "a level of a topic"),
    (
        "position = [-9.0, -6.25]",
        "position = [-9.0, -6.25]\nnode = \"Gate-Node\"",
        "anchor[2].node",
        "by anchor gate in the same way",
    ),
    ("radio = \"loft\"\n", "radio = \"loft\"\nnode = \"x\"\n", "anchor[3].node", "of the kind espresense"),
    ("position = [11.0, -4.0]", "position = [11.0]", "anchor[3].position", "two numbers of metres"),
    ("position = [11.0, -4.0]\n", "", "anchor[3].position", "is missing"),
    ("position = [1.5, -2.0]", "position = [1.5, nan]", "meter[1].position", "two numbers of metres"),
    ("position = [1.5, -2.0]", "position = [900, 0]", "meter[1].position", "cannot be proved: the 3 anchors"),
    ("position = [1.5, -2.0]\n", "", "meter[1].position", "is missing: where should this beacon be?"),
    ("exponent = 2.75", "exponent = 9", "meter[1].beacon.exponent", "from 1 to 8"),
    ("at_one_metre = -59.5, ", "", "meter[1].beacon.at_one_metre", "is missing"),
    ("spread = 2.5 }", "spread = 2.5, secret = \"x\" }", "meter[1].beacon.secret", "exclude each other"),
    (
        "spread = 2.5 }",
        "spread = 2.5, simulated_replay = true }",
        "meter[1].beacon.simulated_replay",
        "simulated radios",
    ),
    ("id = \"elsewhere\"", "id = \"lan\"", "bus[4].id", "another bus"),
    ("\"broker.lan:1883\"", "\"broker.lan\"", "bus[4].broker", "host:port"),
    ("\"broker.lan:1883\"", "\"broker.lan:0\"", "bus[4].broker", "host:port"),
    ("\"meter.lan:502\"", "\"meter.lan\"", "bus[2].address", "host:port"),
    ("baud = 19200", "baud = 19200000", "bus[1].baud", "from 300 to 4000000"),
    ("\"even\"", "\"evn\"", "bus[1].parity", "did you mean \"even\"?"),
    ("\"300ms\"", "\"300us\"", "bus[1].timeout", "must be a duration"),
    ("\"300ms\"", "\"300ms\"\nrs485 = \"high\"", "bus[1].rs485", "rts-high, rts-low"),
    ("\"300ms\"", "\"300ms\"\nrs485_after = \"1ms\"", "bus[1].rs485_after", "needs rs485"),
    ("\"300ms\"", "\"300ms\"\ntls_ca = \"ca.pem\"", "bus[1].tls_ca", "no key that is known"),
    ("\"300ms\"", "\"300ms\"\npipeline = 2", "bus[1].pipeline", "no key that is known"),
    ("pipeline = 8", "pipeline = 17", "bus[2].pipeline", "from 1 to 16"),
    ("timeout = \"2s\"\npipeline = 8", "timeout = \"8s\"\npipeline = 8", "bus[2].pipeline", "more than 60 s"),
    ("timeout = \"2s\"", "timeout = \"2s\"\ntls_ca = \"nowhere.pem\"", "bus[2].tls_ca", "nowhere.pem"),
    ("timeout = \"2s\"", "timeout = \"2s\"\ntls_name = \"meter\"", "bus[2].tls_name", "needs tls_ca"),
    ("timeout = \"2s\"", "timeout = \"2s\"\ntls_ca = \"x\"\ntls_key = \"x\"", "bus[2].tls_certificate", "is missing"),
    ("protected = true", "protected = \"yes\"", "account[2].protected", "true or false"),
    ("restore_at = \"0.75\"", "restore_at = \"much\"", "account[1].restore_at", "much"),
    ("name = \"bo\"", "name = \"ada\"", "operator[2].name", "so is another operator"),
    ("name = \"bo\"", "name = \" bo\"", "operator[2].name", "without blanks around them"),
    ("\"0x15d34aaf54267db7d7c367839aaf71a00a2c6a65\"", "\"0x15\"", "operator[2].address", "0x15"),
    (
        "\"0x15d34aaf54267db7d7c367839aaf71a00a2c6a65\"",
        "\"0x90f79bf6eb2c4f870365e785982e1f101e93b906\"",
        "operator[2].address",
        "is that of ada too",
    ),
    ("voucher_limit = \"5\"\n", "", "operator[2].voucher_limit", "is missing"),
    ("voucher_limit = \"5\"", "voucher_limit = \"-5\"", "operator[2].voucher_limit", "must not be negative"),
    ("low_at = \"2.50\"", "token_unit = \"0.50\"", "account[1].token_unit", "needs token_key_file"),
    ("low_at = \"2.50\"", "token_start = 5", "account[1].token_start", "needs token_key_file"),
    (
        "low_at = \"2.50\"",
        "token_key_file = \"nowhere.token\"\ntoken_unit = \"1\"",
        "account[1].token_key_file",
        "nowhere.token",
    ),
    ("unit = 1\n", "unit = 0\n", "meter[1].unit", "must be 1 to 247"),
    ("unit = 1\n", "", "meter[1].unit", "is required on a Modbus bus"),
    ("unit = 1\n", "topic = \"hall\"\n", "meter[1].unit", "is required on a Modbus bus"),
    ("topic = \"barn/plug\"", "unit = 7", "meter[2].topic", "is required on an MQTT bus"),
    ("\"shelly-plus-1pm\"", "\"eastron-sdm120\"", "meter[2].model", "speaks Modbus"),
    ("\"eastron-sdm230\"", "\"modbus-relay-coil\"", "meter[1].model", "measures nothing"),
    ("\"eastron-sdm230\"", "\"eastron-sdm23O\"", "meter[1].model", "did you mean \"eastron-sdm230\"?"),
    ("\"modbus-relay-coil:2\"", "\"modbus-relay-coil:9\"", "switch[1].model", "modbus-relay-coil:9"),
    ("\"modbus-relay-coil:2\"", "\"eastron-sdm120\"", "switch[1].model", "has no switch"),
    ("unit = 101", "unit = 1", "switch[1].model", "hall has model eastron-sdm230"),
    ("unit = 255", "unit = 1\nbus = 'rtu0'", "", "no TOML"),
    ("account = \"hall\"\nperiod", "account = \"hal\"\nperiod", "meter[1].account", "did you mean \"hall\"?"),
    ("period = \"15s\"", "period = \"10ms\"", "meter[1].period", "from 100ms"),
    ("max_power = 9000", "max_power = 0", "meter[1].max_power", "from 1"),
    ("on_silence = \"open\"\n", "", "switch[1].on_silence", "is missing"),
    ("on_silence = \"open\"", "on_silence = \"Open\"", "switch[1].on_silence", "open, closed, hold"),
    ("[home_assistant]", "[simulator]\nspeed = 60\n\n[home_assistant]", "simulator.speed", "must be 1"),
    ("port = \"/dev/ttyUSB8\"", "address = \"ttyUSB8\"", "bus[5].address", "host:port"),
    ("port = \"/dev/ttyUSB8\"", "port = \"x\"\naddress = \"p1.lan:23\"", "bus[5].address", "leave one of them out"),
    ("port = \"/dev/ttyUSB8\"\n", "", "bus[5].port", "is missing"),
    ("parity = 'even'", "parity = \"odd\"", "bus[5].parity", "must be one of none, even"),
    ("baud = 9600\n", "stop_bits = 2\n", "bus[5].stop_bits", "no key that is known"),
    ("bus = \"p1\"\n", "bus = \"p1\"\nunit = 3\n", "meter[4].unit", "alone there"),
    ("bus = \"p1\"\n", "bus = \"p1\"\ntopic = \"t\"\n", "meter[4].topic", "alone there"),
    ("\"dsmr-p1\"", "\"eastron-sdm120\"", "meter[4].model", "speaks Modbus, bus p1 does not"),
    ("\"eastron-sdm630\"", "\"p1-sweden\"", "meter[3].model", "speaks telegrams, bus lan does not"),
    (
        "model = \"dsmr-p1\"\n",
        "model = \"dsmr-p1\"\n[[meter]]\nid = \"twin\"\nbus = \"p1\"\nmodel = \"sml-obis\"\n",
        "meter[5].bus",
        "where meter shed is already",
    ),
    ("meters = [\"feeder\"]", "meters = [\"feedr\"]", "feeder.meters", "did you mean \"feeder\"?"),
    ("meters = [\"feeder\"]", "meters = [\"hall\"]", "feeder.meters", "a customer's meter"),
    ("meters = [\"feeder\"]", "meters = [\"feeder\", \"feeder\"]", "feeder.meters", "twice"),
    ("\"10m\"", "\"10s\"", "feeder.interval", "from 60s"),
    ("\"240h\"", "\"15h\"", "feeder.window", "96 intervals"),
    ("\"0.12\"", "\"low\"", "feeder.resistance_ohm", "number of ohms"),
    ("\"0.12\"", "\"nan\"", "feeder.resistance_ohm", "number of ohms"),
    ("loss_permille = 20", "loss_permille = -1", "feeder.loss_permille", "from 0 to 500"),
    ("voltage = 400", "voltage = 0", "feeder.voltage", "from 12"),
    ("\"2%\"", "\"2\"", "feeder.meter_error", "is no share"),
    ("\"2%\"", "\"0%\"", "feeder.meter_error", "from 0.1% to 10%"),
    ("own_use = 2", "own_use = 200", "feeder.own_use", "from 0 to 100"),
    ("register_step = 10", "register_step = 0", "feeder.register_step", "from 1"),
    ("\"99%\"", "\"100%\"", "feeder.alarm_confidence", "from 90% to 99.9%"),
    ("max_power = 9000", "simulated_theft = 5", "meter[1].simulated_theft", "simulate = true"),
    ("max_power = 9000", "simulated_counts = 333", "meter[1].simulated_counts", "simulate = true"),
    ("[home_assistant]", "[homeassistant]", "homeassistant", "did you mean \"home_assistant\"?"),
];

#[test]
fn one_mistake_is_one_complaint_about_the_right_key() {
    for (old, new, field, part) in MISTAKES {
        assert_eq!(FULL.matches(old).count(), 1, "{old:?} is not once in the street");
        let text = FULL.replace(old, new);
        let Err(Problems(found)) = parse(&text) else { panic!("{new:?} instead of {old:?} was taken") };
        let [problem] = found.as_slice() else { panic!("{new:?} instead of {old:?}: {found:#?}") };
        assert_eq!(problem.field, *field, "{new:?}: {problem}");
        assert!(problem.what.contains(part), "{new:?}: {problem}");
        // On the line that was changed, or where what is missing should be.
        let changed = FULL.find(old).map(|at| FULL[..at].matches('\n').count() + 1).unwrap();
        let until = changed + new.matches('\n').count();
        let missing = problem.what.contains("is missing") || problem.what.contains("is required");
        let there = (changed..=until.max(changed)).contains(&problem.line);
        let reaches = problem.line <= changed && missing;
        let value_of_same_table = ["unit = 101", "[home_assistant]"].contains(old);
        assert!(there || reaches || value_of_same_table, "line {changed} was changed, not {}: {problem}", problem.line);
    }
}

#[test]
fn a_switch_that_lets_go_by_itself_goes_where_the_configuration_wants_it() {
    let board = FULL.replace("modbus-relay-coil:2", "wiren-board-relay-watchdog:2");
    sound(&board);
    for other in ["closed", "hold"] {
        let text = board.replace("on_silence = \"open\"", &format!("on_silence = \"{other}\""));
        let problems = parse(&text).unwrap_err().0;
        assert!(problems.len() == 1 && problems[0].field == "switch[1].on_silence", "{problems:?}");
        assert!(problems[0].what.contains("must be \"open\": this model goes there by itself"), "{problems:?}");
    }
}

#[test]
fn a_misspelt_kind_is_not_answered_with_a_row_of_unknown_keys() {
    let text = FULL
        .replace("\"modbus-tcp\"", "\"modbus-tpc\"")
        .replace("bus = \"lan\"\nunit = 255", "bus = \"rtu0\"\nunit = 9");
    let Err(Problems(found)) = parse(&text) else { panic!("taken") };
    assert_eq!(found.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), ["bus[2].kind"]);
    let text = "[broker]\nlisten = \"localhost\"\nusers_file = \"nowhere\"\n";
    let Err(Problems(found)) = parse(text) else { panic!("taken") };
    assert!(!found.iter().any(|p| p.what.contains("no key that is known")), "{found:#?}");
}

#[test]
fn a_port_for_telegrams_has_one_owner_too() {
    let Err(Problems(found)) = parse(&FULL.replace("ttyUSB8", "ttyUSB7")) else { panic!("taken") };
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].to_string().contains("bus[5].id uses /dev/ttyUSB7, and so does bus rtu0"), "{found:#?}");
    let config =
        sound(&FULL.replace("port = \"/dev/ttyUSB8\"\nbaud = 9600\nparity = 'even'", "address = \"p1.lan:23\""));
    let BusKind::Telegram(spec) = &config.buses[4].spec.kind else { panic!("{:?}", config.buses[4]) };
    assert_eq!((&spec.place, spec.baud), (&TelegramPlace::Tcp("p1.lan:23".into()), None));
}

#[test]
fn a_node_needs_a_url_and_takes_nothing_that_belongs_to_the_embedded_chain() {
    let text = FULL.replace("kind = \"embedded\"\n", "kind = \"rpc\"\n");
    let Err(Problems(found)) = parse(&text) else { panic!("taken") };
    let mut fields: Vec<&str> = found.iter().map(|p| p.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["chain.fund", "chain.rpc_listen", "chain.url"]);
}

#[test]
fn whoever_may_leave_is_not_paid_out_before_the_last_energy_is_billed() {
    let provider = "provider = \"0x5fbdb2315678afecb367f032d93f642f64180aa3\"\n";
    let text = FULL.replace("exit_delay = \"7d\"\n", "");
    sound(&text);
    let Err(Problems(found)) = parse(&text.replace(provider, "")) else { panic!("taken") };
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].to_string().contains("chain.exit_delay is missing: barn has a holder"), "{found:#?}");
    sound(&text.replace(provider, "").replace("holder = \"0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc\"\n", ""));
}

#[test]
fn challenges_and_fees_of_the_grid_need_the_operators_register() {
    let Err(Problems(found)) = parse(&FULL.replace("operator = \"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512\"\n", ""))
    else {
        panic!("taken")
    };
    let mut fields: Vec<&str> = found.iter().map(|p| p.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["chain.challenge_window", "chain.max_network_fee", "chain.operator"]);
}

/// What in `FULL` belongs to an embedded chain only.
const RPC_LISTEN: &str = "rpc_listen = \"127.0.0.1:8545\"\n";
const FUND: &str = "fund = [\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\"]\n";

#[test]
fn nodes_are_one_or_a_list_and_each_must_be_a_url() {
    let node = |url: &str| {
        let text = FULL.replace(RPC_LISTEN, "").replace(FUND, "");
        text.replace("kind = \"embedded\"\nchain_id", &format!("kind = \"rpc\"\nurl = {url}\nchain_id"))
    };
    for (url, count) in [("\"http://a:1\"", 1), ("[\"http://a:1\", \"https://b/v3/key\"]", 2)] {
        let ChainKind::Rpc { urls, .. } = sound(&node(url)).chain.kind else { panic!("{url}") };
        assert_eq!(urls.len(), count);
    }
    for url in ["[]", "\"\"", "[\"http://a:1\", \"a:1/s3cret\"]", "[7]"] {
        let Err(Problems(found)) = parse(&node(url)) else { panic!("{url} was taken") };
        assert!(found.iter().all(|p| p.field == "chain.url"), "{found:#?}");
        assert!(!format!("{found:?}").contains("s3cret"));
    }
}

#[test]
fn who_vouches_for_a_node_is_a_file_of_certificates_and_somebody_whom_it_helps() {
    let room = tempfile::tempdir().unwrap();
    let (good, bad) = (room.path().join("ca.pem"), room.path().join("bad.pem"));
    std::fs::write(&good, rcgen::generate_simple_self_signed(vec!["node".to_owned()]).unwrap().cert.pem()).unwrap();
    std::fs::write(&bad, "no certificate").unwrap();
    let named = |file: &Path, url: &str| {
        let text = FULL.replace(RPC_LISTEN, "").replace(FUND, "");
        let chain = format!("kind = \"rpc\"\nurl = \"{url}\"\nca_file = \"{}\"\nchain_id", file.display());
        text.replace("kind = \"embedded\"\nchain_id", &chain)
    };
    for url in ["https://node:8545", "wss://node:8546"] {
        let ChainKind::Rpc { trust, .. } = sound(&named(&good, url)).chain.kind else { panic!("{url}") };
        assert_eq!(format!("{trust:?}"), "Trust(own)");
    }
    let refused = [
        (named(&good, "http://node:8545"), "belongs to an https:// or wss:// url"),
        (named(&bad, "https://node:8545"), "bad.pem, which holds no certificate"),
        (named(&room.path().join("gone.pem"), "https://node:8545"), "gone.pem, which cannot be read"),
        (FULL.replace("chain_id = 31337", "chain_id = 31337\nca_file = \"ca.pem\""), "an embedded chain needs nobody"),
    ];
    for (text, part) in refused {
        let Err(Problems(found)) = parse(&text) else { panic!("taken, though {part}") };
        let [problem] = found.as_slice() else { panic!("{found:#?}") };
        assert!(problem.field == "chain.ca_file" && problem.what.contains(part), "{problem:?}");
    }
}

#[test]
fn restoring_at_nothing_still_needs_a_positive_balance() {
    let config = sound(&FULL.replace("restore_at = \"0.75\"", "restore_at = \"0\""));
    assert_eq!(config.accounts[0].terms.rule.restore_at, domain::Money(1));
}

/// Whatever comes of it: no panic, and if it is refused then with at least one complaint, each at a place that an
/// editor can jump to.
fn holds_up(text: &str) -> Result<(), TestCaseError> {
    let Err(Problems(found)) = parse(text) else { return Ok(()) };
    prop_assert!(!found.is_empty(), "refused without a reason");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &found {
        prop_assert!((1..=lines.len()).contains(&problem.line), "line {} of {}: {problem}", problem.line, lines.len());
        let width = lines[problem.line - 1].chars().count();
        prop_assert!((1..=width + 1).contains(&problem.column), "column {} of {width}: {problem}", problem.column);
        let place = format!("gateway.toml:{}:", problem.line);
        prop_assert!(problem.to_string().starts_with(&place), "no place: {problem}");
        prop_assert!(!problem.what.is_empty());
    }
    Ok(())
}

/// Values that fit somewhere, or nowhere.
fn value() -> impl Strategy<Value = String> {
    let odd = [
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "9223372036854775808",
        "0x1F",
        "true",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "\"\"",
        "'\\'",
        "\"\\u0000\"",
        "\"é\"",
        "\"embedded\"",
        "\"mqtt\"",
        "\"hold\"",
        "\"hall\"",
        "\"rtu0\"",
        "\"25:00-26:00\"",
        "\"99999999999999999999s\"",
        "\"0.0000000001\"",
        "\"99999999999999999999\"",
        "[1, \"a\"]",
        "1979-05-27",
        "\"\"\"",
        "\"eastron-sdm230:2\"",
        "\"modbus-relay-coil:65535\"",
        "\"[::1]:0\"",
        "\"::\"",
        "\"0x\"",
    ];
    prop_oneof![proptest::sample::select(odd.to_vec()).prop_map(str::to_owned), "\\PC{0,12}"]
}

/// One clumsy hand on the keyboard. Numbers are places, reduced to what the text has.
#[derive(Clone, Debug)]
enum Slip {
    Delete(usize),
    Repeat(usize, usize),
    Value(usize, String),
    Key(usize, String),
    Cut(usize),
    Insert(usize, String),
}

fn slip() -> impl Strategy<Value = Slip> {
    let at = 0..4096_usize;
    prop_oneof![
        at.clone().prop_map(Slip::Delete),
        (at.clone(), at.clone()).prop_map(|(from, to)| Slip::Repeat(from, to)),
        (at.clone(), value()).prop_map(|(line, value)| Slip::Value(line, value)),
        (at.clone(), "[a-z_]{1,10}").prop_map(|(line, key)| Slip::Key(line, key)),
        at.clone().prop_map(Slip::Cut),
        (at, "\\PC{1,4}|\n|\r\n|\t|\"|\\[\\[|\\]").prop_map(|(place, text)| Slip::Insert(place, text)),
    ]
}

fn spoil(text: &str, slip: &Slip) -> String {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let count = lines.len();
    let boundary = |at: usize| (0..=at % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    match slip {
        Slip::Delete(line) => drop(lines.remove(line % count)),
        Slip::Repeat(from, to) => lines.insert(to % count, lines[from % count].clone()),
        Slip::Value(line, value) => {
            if let Some((key, _)) = lines[line % count].split_once(" = ") {
                lines[line % count] = format!("{key} = {value}");
            }
        }
        Slip::Key(line, key) => {
            if let Some((_, value)) = lines[line % count].split_once(" = ") {
                lines[line % count] = format!("{key} = {value}");
            }
        }
        Slip::Cut(at) => return text[..boundary(*at)].to_owned(),
        Slip::Insert(at, what) => {
            let (before, after) = text.split_at(boundary(*at));
            return format!("{before}{what}{after}");
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text_at_all_is_read_or_refused_with_places(text in "(\\PC|\n|\t|\"|=|\\[|\\]){0,200}") {
        holds_up(&text)?;
    }

    #[test]
    fn a_street_with_slips_in_it_is_read_or_refused_with_places(slips in proptest::collection::vec(slip(), 1..6)) {
        let mut text = FULL.to_owned();
        for slip in &slips {
            text = spoil(&text, slip);
        }
        holds_up(&text)?;
    }
}
