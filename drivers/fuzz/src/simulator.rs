//! The simulated slave answers any request as the Modbus specification says, or refuses it.

use arbitrary::Unstructured;
use domain::{Position, Reading, WattHours};
use drivers::fuzzing::{Simulated, blank};
use drivers::simulator::{Appliance, SimDevice};
use drivers::{DeviceAddress, Library};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::runtime::Runtime;

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs no rights");
}

/// A home that counts how often its switch was moved.
struct Home {
    closed: Mutex<bool>,
    moved: AtomicUsize,
}

impl Appliance for Home {
    fn show(&self) -> Reading {
        Reading { import: Some(WattHours(1_234_567)), ..blank() }
    }

    fn position(&self) -> Option<Position> {
        Some(if *self.closed.lock().unwrap() { Position::Closed } else { Position::Open })
    }

    fn operate(&self, position: Position) -> io::Result<()> {
        *self.closed.lock().unwrap() = position == Position::Closed;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

static LIBRARY: LazyLock<Library> = LazyLock::new(Library::builtin);

/// A request to a unit that is not there has no answer. Any other is answered in at most 253 bytes: by its function and
/// as many bytes as were asked for, by the confirmation of what was written, or by a refusal of two bytes with a reason
/// of the specification. A switch moves only by an order that is confirmed, and then to where the last order for it says.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let home = Arc::new(Home { closed: Mutex::new(true), moved: AtomicUsize::new(0) });
    let device = |unit, model: &str| {
        let template = LIBRARY.get(model).expect("it is shipped");
        let what = Arc::clone(&home) as Arc<dyn Appliance>;
        SimDevice { refuses_gaps: unit == 3, ..SimDevice::new(DeviceAddress::Unit(unit), template, what) }
    };
    let devices = vec![device(1, "sim-home"), device(2, "modbus-relay-coil:3"), device(3, "eastron-sdm630")];
    let bus = Simulated::new(devices).expect("these are Modbus devices");
    for _ in 0..16 {
        if u.is_empty() {
            return;
        }
        let (unit, len) = (u.int_in_range(0..=3_u8).unwrap_or(0), u.int_in_range(0..=253_usize).unwrap_or(0));
        let pdu = u.bytes(len.min(u.len())).unwrap_or_default();
        let before = home.moved.load(Ordering::Relaxed);
        let answer = RUNTIME.with(|runtime| runtime.block_on(bus.answer(unit, pdu)));
        let moved = home.moved.load(Ordering::Relaxed) - before;
        assert_eq!(answer.is_none(), pdu.is_empty() || unit == 0, "{answer:?} from unit {unit} to {pdu:?}");
        if let Some(answer) = answer {
            fits(pdu, &answer, moved);
            if let (5, true, [_, _, _, value, _]) = (pdu[0], moved == 1, &answer[..]) {
                assert_eq!(*home.closed.lock().unwrap(), *value == 0xFF);
            }
        }
    }
}

fn fits(pdu: &[u8], answer: &[u8], moved: usize) {
    assert!(answer.len() <= 253);
    let number = |at: usize| usize::from(u16::from_be_bytes([pdu[at], pdu[at + 1]]));
    if answer.len() == 2 && answer[0] == pdu[0] | 0x80 {
        assert!((1..=4).contains(&answer[1]) && moved == 0, "{answer:?} to {pdu:?}");
        return;
    }
    assert!(answer[0] == pdu[0] && pdu.len() >= 5, "{answer:?} to {pdu:?}");
    match pdu[0] {
        function @ 1..=4 => {
            let count = if function < 3 { number(3).div_ceil(8) } else { number(3) * 2 };
            assert!(
                moved == 0 && usize::from(answer[1]) == count && answer.len() == count + 2,
                "{answer:?} to {pdu:?}"
            );
        }
        5 | 6 => assert!(moved == 1 && answer == &pdu[..5], "{answer:?} to {pdu:?}"),
        15 | 16 => assert!(moved == number(3) && answer == &pdu[..5], "{answer:?} to {pdu:?}"),
        other => panic!("function {other} was served: {answer:?}"),
    }
}
