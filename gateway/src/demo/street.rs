//! The demonstration's configuration, written as a person would write it.

use crate::cli::Demo;
use crate::failure::{Code, Failure};
use contracts::key::{LocalKey, Signer};
use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;

/// 2026-03-02 16:40 in Madrid: twenty minutes before the dear hours, with some sun left.
const BEGINS: i64 = 1_772_466_000_000;
/// Homes on Modbus TCP and on MQTT; all others share the serial line.
const ON_TCP: u8 = 2;
const ON_MQTT: u8 = 2;
/// W that the substation takes back: less than two roofs leave over on a sunny afternoon.
const EXPORT_LIMIT: u32 = 500;

/// The configuration; ports that were chosen before are kept, so that a second start finds the same street.
pub fn config(options: &Demo, state: &Path, path: &Path, wallet: &LocalKey) -> Result<String, Failure> {
    if path.exists() {
        return again(options, path);
    }
    let Demo { speed, seed, homes, http, .. } = options;
    let port = free_port()?;
    let mut text = format!(
        "# Written by `microgrid-gateway demo`: a street that does not exist, on transports that do.\n\
         [site]\nname = \"demo-street\"\ntimezone = \"Europe/Madrid\"\nstate = {state:?}\n\n\
         [tariff]\noff_peak = \"0.18\"\npeak = \"0.32\"\nfeed_in = \"0.08\"\npeak_hours = [\"17:00-22:00\"]\n\n\
         [enforce]\nlease = \"{}s\"\nstale_after = \"{}s\"\n\n\
         [broker]\nlisten = \"127.0.0.1:{port}\"\n\n[web]\nlisten = \"{http}\"\n\n\
         [chain]\nkind = \"embedded\"\nchain_id = 31337\nrpc_listen = \"127.0.0.1:0\"\nsettle_every = \"{}s\"\n\
         fund = [\"{}\"] # the customers' wallet\n\n\
         [dispatch]\nnetwork = \"street.toml\"\nexport_limit = {EXPORT_LIMIT}\n\n\
         [simulator]\nseed = {seed}\nspeed = {speed}\nanchor_ms = {BEGINS}\n",
        speed * 30,
        speed * 20,
        speed * 8,
        wallet.address()
    );
    let add = |text: &mut String, what: std::fmt::Arguments<'_>| {
        // Writing to a String does not fail.
        let _ = text.write_fmt(what);
    };
    add(
        &mut text,
        format_args!(
            "\n[[bus]]\nid = \"rtu0\"\nkind = \"modbus-rtu\"\nport = {:?}\nbaud = 115200\nsimulate = true\n",
            state.join("rtu0")
        ),
    );
    for i in 1..=ON_TCP {
        let port = free_port()?;
        add(
            &mut text,
            format_args!(
                "\n[[bus]]\nid = \"tcp{i}\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nsimulate = true\n"
            ),
        );
    }
    let port = free_port()?;
    add(
        &mut text,
        format_args!(
            "\n[[bus]]\nid = \"substation\"\nkind = \"modbus-tcp\"\naddress = \"127.0.0.1:{port}\"\nsimulate = true\n"
        ),
    );
    add(&mut text, format_args!("\n[[bus]]\nid = \"mqtt\"\nkind = \"mqtt\"\nbroker = \"embedded\"\nsimulate = true\n"));
    // Half a second of real time.
    let period = speed * 500;
    add(
        &mut text,
        format_args!(
            "\n[[meter]]\nid = \"feeder\"\nbus = \"substation\"\nunit = 1\nmodel = \"sim-feeder\"\nperiod = \"{period}ms\"\nmax_power = 1000000\n"
        ),
    );
    add(&mut text, format_args!("{}", listeners(*homes, *speed)));
    for home in 1..=*homes {
        let id = format!("home-{home}");
        let on_bus = homes - ON_TCP - ON_MQTT;
        let (place, model) = if home <= on_bus {
            (format!("bus = \"rtu0\"\nunit = {home}"), "sim-home")
        } else if home <= on_bus + ON_TCP {
            (format!("bus = \"tcp{}\"\nunit = 1", home - on_bus), "sim-home")
        } else {
            (format!("bus = \"mqtt\"\ntopic = \"street/{id}\""), "shelly-plus-1pm")
        };
        // Two of them have a roof; one customer is never to be disconnected.
        let has_roof = home == 2 || home == on_bus + 1;
        let roof = if has_roof { "simulated_pv = 6000\n" } else { "" };
        let protected = if home == 3 { "protected = true\n" } else { "" };
        let scale = 600 + u32::from(home) * 137 % 1100;
        add(&mut text, format_args!("\n[[account]]\nid = \"{id}\"\n{protected}"));
        add(
            &mut text,
            format_args!(
                "\n[[meter]]\nid = \"{id}\"\n{place}\nmodel = \"{model}\"\naccount = \"{id}\"\nperiod = \"{period}ms\"\nsimulated_scale = {scale}\nnode = \"pole-{}\"\nposition = [{:?}, {:?}]\n{roof}",
                pole(home),
                stands(home).0,
                stands(home).1
            ),
        );
        if has_roof {
            add(
                &mut text,
                format_args!(
                    "\n[[inverter]]\nid = \"roof-{home}\"\nbus = \"substation\"\nunit = {}\nmodel = \"sunspec\"\nmeter = \"{id}\"\nrated_power = 6000\n",
                    10 + home
                ),
            );
        }
        add(
            &mut text,
            format_args!(
                "\n[[switch]]\nid = \"{id}\"\naccount = \"{id}\"\n{place}\nmodel = \"{model}\"\non_silence = \"hold\"\n"
            ),
        );
    }
    Ok(text)
}

/// Two homes share a pole.
fn pole(home: u8) -> u8 {
    home.div_ceil(2)
}

/// Where a home stands: two rows along the street, in metres.
fn stands(home: u8) -> (f64, f64) {
    (f64::from((home - 1) / 2) * 16.0, if home % 2 == 1 { 0.0 } else { 22.0 })
}

/// What hears where the meters are: a radio in every home, and one on a post at each corner of the street.
fn listeners(homes: u8, speed: u32) -> String {
    let length = stands(homes).0;
    let corners = [(-14.0, -8.0), (-14.0, 30.0), (length + 14.0, -8.0), (length + 14.0, 30.0)];
    let posts = corners.into_iter().zip(1..).map(|(at, post)| (format!("post-{post}"), at));
    let in_homes = (1..=homes).map(|home| (format!("home-{home}"), (stands(home).0 + 3.0, stands(home).1 - 2.0)));
    // Half a minute of real time, and a day at most.
    let epoch = (speed * 30).min(86_400);
    let begin = format!("\n[location]\nepoch = \"{epoch}s\"\n\n[[radio]]\nid = \"air\"\nkind = \"simulated\"\n");
    posts.chain(in_homes).fold(begin, |text, (id, (east, north))| {
        text + &format!("\n[[anchor]]\nid = \"{id}\"\nradio = \"air\"\nposition = [{east:?}, {north:?}]\n")
    })
}

/// The line that the homes hang on: 40 m of cable from pole to pole.
pub fn network(homes: u8) -> String {
    let mut text = "name = \"demo-street\"\nvolts = 400\nvmin_pu = 0.9\nvmax_pu = 1.1\n\n\
         [source]\nbus = \"station\"\nprice = 0.18\nkva = 100\n\n\
         [[cable]]\nname = \"NAYY 150\"\nr_ohm_per_km = 0.206\nx_ohm_per_km = 0.080\namps = 270\n"
        .to_owned();
    for to in 1..=pole(homes) {
        let from = if to == 1 { "station".to_owned() } else { format!("pole-{}", to - 1) };
        text += &format!("\n[[line]]\nfrom = \"{from}\"\nto = \"pole-{to}\"\ncable = \"NAYY 150\"\nmetres = 40\n");
    }
    text
}

/// The street of an earlier start, with this start's speed and page.
fn again(options: &Demo, path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", path.display())))?;
    let mut section = String::new();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        match section.as_str() {
            "[web]" if line.starts_with("listen") => out += &format!("listen = \"{}\"", options.http),
            _ => out += line,
        }
        out.push('\n');
    }
    Ok(out)
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    listener.map(|a| a.port()).map_err(|e| Failure::new(Code::Unavailable, format!("no free port: {e}")))
}
