//! All models that are known: those built in, and those of the user's own folder.

use super::{Protocol, Template, TemplateProblem};
use crate::document::distance;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// Files are listed here by hand, so that no build script is needed; a test holds the list complete.
        const BUILTIN: &[(&str, &str)] = &[$((concat!($name, ".toml"), include_str!(concat!("../../templates/", $name, ".toml")))),*];
    };
}
embedded![
    "abb-b21",
    "abb-b23",
    "bge-ds100",
    "bge-ws100",
    "carlo-gavazzi-em112",
    "carlo-gavazzi-em24-e1",
    "carlo-gavazzi-em24",
    "carlo-gavazzi-em340",
    "carlo-gavazzi-em540",
    "chint-ddsu666",
    "chint-dtsu666",
    "dsmr-p1",
    "dsmr2-p1",
    "dzg-dvh4013",
    "dzg-dvs74",
    "eastron-sdm120",
    "eastron-sdm220",
    "eastron-sdm230",
    "eastron-sdm54",
    "eastron-sdm630",
    "eastron-sdm72d-m-2",
    "eastron-sdm72d-m",
    "eastron-x96-1a",
    "easymeter-q3d",
    "eletechsup-relay",
    "elster-as1440",
    "eltako-dsz15dzmod",
    "emh-ed300l",
    "emh-ehz-g",
    "finder-7m24",
    "finder-7m38",
    "generic-json",
    "goodwe-et-meter",
    "gpio-relay",
    "growatt-tl",
    "holley-dtz541-zdba",
    "huawei-power-sensor",
    "huawei-sun2000",
    "iec62056-21",
    "inepro-pro380",
    "iskra-mt174",
    "iskra-wm3m4",
    "janitza-umg",
    "modbus-relay-coil",
    "orno-we-504",
    "orno-we-514",
    "orno-we-516",
    "orno-we-525",
    "p1-luxembourg",
    "p1-sweden",
    "s0-pulse",
    "saia-ale3",
    "schneider-iem3000",
    "shelly-em",
    "shelly-gen1-relay",
    "shelly-plus-1pm",
    "shelly-pm-mini",
    "shelly-pro-3em",
    "siemens-pac2200",
    "siemens-pac3200",
    "sim-feeder",
    "sim-home",
    "sma-inverter",
    "sml-obis",
    "socomec-countis",
    "solaredge-meter",
    "sungrow-sg",
    "sunspec-inverter-101",
    "sunspec-inverter-103",
    "sunspec-inverter-111",
    "sunspec-inverter-113",
    "sunspec-meter-201",
    "sunspec-meter-203",
    "sunspec-meter-213",
    "sunspec",
    "tasmota-energy",
    "wago-879-30xx",
    "wiren-board-relay-watchdog",
    "zigbee2mqtt-plug",
];

/// Models by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    models: BTreeMap<String, Arc<Template>>,
}

impl Library {
    /// The models that come with the program.
    #[must_use]
    pub fn builtin() -> Self {
        let mut library = Self::default();
        for (file, text) in BUILTIN {
            // A template that does not parse cannot be released: the tests parse every one of them.
            if let Ok(template) = Template::parse(file, text) {
                library.add(template);
            }
        }
        library
    }

    /// The built-in models, with those of `folder`'s `*.toml` files on top: a model of the same name replaces ours.
    /// Reports every problem of every file.
    pub fn with_folder(folder: &Path) -> Result<Self, Vec<TemplateProblem>> {
        let unreadable = |path: &Path, error: std::io::Error| TemplateProblem {
            file: path.display().to_string(),
            line: 0,
            column: 0,
            field: String::new(),
            what: format!("cannot be read: {error}"),
        };
        let entries = std::fs::read_dir(folder).map_err(|error| vec![unreadable(folder, error)])?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let (mut library, mut problems) = (Self::builtin(), Vec::new());
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for path in paths {
            let file = path.display().to_string();
            let parsed = std::fs::read_to_string(&path)
                .map_err(|error| vec![unreadable(&path, error)])
                .and_then(|text| Template::parse(&file, &text));
            match parsed {
                Err(found) => problems.extend(found),
                Ok(template) => {
                    if let Some(first) = seen.insert(template.model.clone(), file.clone()) {
                        let what = format!("is {:?}, as in {first}: which one is meant?", template.model);
                        problems.push(TemplateProblem { file, line: 1, column: 1, field: "model".into(), what });
                    }
                    library.add(template);
                }
            }
        }
        if problems.is_empty() { Ok(library) } else { Err(problems) }
    }

    fn add(&mut self, template: Template) {
        self.models.insert(template.model.clone(), Arc::new(template));
    }

    /// The model of this name. `model:3` is the third channel of a board with several switches, `sunspec:203` the model
    /// 203 of a device that describes itself.
    #[must_use]
    pub fn get(&self, model: &str) -> Option<Arc<Template>> {
        let Some((board, channel)) = model.split_once(':') else { return self.models.get(model).cloned() };
        let mut template = Template::clone(self.models.get(board)?);
        let Protocol::Modbus(map) = &mut template.protocol else { return None };
        if let Some(discovery) = &mut map.discovery {
            discovery.model = Some(channel.parse().ok()?);
            template.model = model.to_owned();
            return Some(Arc::new(template));
        }
        let switch = map.switch.as_mut()?;
        let skip = channel.parse::<u16>().ok()?.checked_sub(1).filter(|skip| *skip < switch.channels)?;
        switch.order.address = switch.order.address.checked_add(skip)?;
        switch.readback.address = switch.readback.address.checked_add(skip)?;
        switch.channels = 1;
        template.model = model.to_owned();
        Some(Arc::new(template))
    }

    /// The file of a model that comes with the program: its registers or topics, for people.
    #[must_use]
    pub fn text(model: &str) -> Option<&'static str> {
        let file = format!("{model}.toml");
        BUILTIN.iter().find(|(name, _)| *name == file).map(|(_, text)| *text)
    }

    /// The names of all models, sorted.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The known name that looks most like `model`, if one looks like it at all: for "did you mean …?".
    #[must_use]
    pub fn nearest(&self, model: &str) -> Option<&str> {
        let wanted: String = model.chars().take(64).collect::<String>().to_lowercase();
        let bound = wanted.chars().count().max(6) / 2;
        let part = |name: &str| wanted.len() > 3 && name.contains(&wanted);
        let ranked = self.models().map(|name| (if part(name) { 0 } else { distance(&wanted, name) }, name));
        ranked.min().filter(|(steps, _)| *steps <= bound).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_file_is_built_in_and_parses() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, BUILTIN.iter().map(|(file, _)| *file).collect::<Vec<_>>());
        for (file, text) in BUILTIN {
            let template = Template::parse(file, text).unwrap_or_else(|p| panic!("{p:#?}"));
            assert_eq!(format!("{}.toml", template.model), *file);
        }
    }

    #[test]
    fn every_model_is_named_in_the_readme() {
        let readme = include_str!("../../README.md");
        for model in Library::builtin().models() {
            assert!(readme.contains(&format!("| `{model}` |")), "{model} is not in the list of models");
        }
    }

    #[test]
    fn a_misspelt_model_is_answered_with_the_nearest_one() {
        let library = Library::builtin();
        assert_eq!(library.nearest("eastron-sdm23"), Some("eastron-sdm230"));
        assert_eq!(library.nearest("SDM630"), Some("eastron-sdm630"));
        assert_eq!(library.nearest("simhome"), Some("sim-home"));
        assert_eq!(library.nearest("zzzzzzzzzzzzzzzzz"), None);
    }

    #[test]
    fn a_channel_of_a_relay_board_is_picked_by_number() {
        let library = Library::builtin();
        let third = library.get("modbus-relay-coil:3").unwrap();
        let Protocol::Modbus(map) = &third.protocol else { panic!("no Modbus") };
        assert_eq!(map.switch.unwrap().order.address, 2);
        for bad in ["modbus-relay-coil:0", "modbus-relay-coil:9", "modbus-relay-coil:x", "sim-feeder:1", "nobody:1"] {
            assert!(library.get(bad).is_none(), "{bad} was found");
        }
    }

    #[test]
    fn an_own_folder_replaces_a_model_and_reports_all_its_mistakes() {
        let folder = tempfile::tempdir().unwrap();
        let (_, ours) = BUILTIN.iter().find(|(file, _)| *file == "eastron-sdm120.toml").unwrap();
        let own = ours.replace("vendor = \"Eastron\"", "vendor = \"Me\"");
        std::fs::write(folder.path().join("a.toml"), own).unwrap();
        let library = Library::with_folder(folder.path()).unwrap();
        assert_eq!(library.get("eastron-sdm120").unwrap().vendor, "Me");
        std::fs::write(folder.path().join("b.toml"), "model = 1").unwrap();
        std::fs::write(folder.path().join("c.toml"), "model = ").unwrap();
        let problems = Library::with_folder(folder.path()).unwrap_err();
        assert!(
            problems.iter().any(|p| p.file.ends_with("b.toml")) && problems.iter().any(|p| p.file.ends_with("c.toml"))
        );
        assert!(Library::with_folder(&folder.path().join("nowhere")).is_err());
    }
}
