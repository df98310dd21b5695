//! A device that describes itself is walked in bounded reads, whatever it says.

use arbitrary::Unstructured;
use drivers::template::Protocol;
use drivers::{DeviceError, sunspec};
use std::cell::{Cell, RefCell};
use std::future::ready;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The walk ends within 105 reads of two registers. The models that it finds follow each other without overlap inside
/// the address space, none has a number that means nothing, and whatever one of them becomes as a template reads
/// registers of its own only.
pub fn check(bytes: &[u8]) {
    let u = RefCell::new(Unstructured::new(bytes));
    let reads = Cell::new(0_u32);
    let answer = |_: u16, count: u16| {
        reads.set(reads.get() + 1);
        assert_eq!(count, 2);
        ready(said(&mut u.borrow_mut()))
    };
    let found = match pin!(sunspec::discover(answer)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => unreachable!("every answer is there at once"),
    };
    assert!(reads.get() <= 4 + 101, "{} reads", reads.get());
    let Ok(Some(chain)) = found else { return };
    let words = |_: u16, count: u16| {
        let mut u = u.borrow_mut();
        ready(Ok((0..count).map(|_| u.arbitrary().unwrap_or(0)).collect()))
    };
    let said = pin!(chain.identify(words)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(identity)) = said else { unreachable!("every answer is there at once") };
    for text in identity.into_iter().flat_map(|i| [i.manufacturer, i.model, i.version, i.serial]).flatten() {
        assert!(!text.is_empty() && text.trim() == text && !text.chars().any(char::is_control), "{text:?}");
    }
    let end = u32::from(chain.base) + 2 + chain.blocks.iter().map(|b| u32::from(b.length) + 2).sum::<u32>();
    if let Some(Protocol::Modbus(map)) = chain.template().map(|template| template.protocol) {
        let limit = map.limit.iter().map(|limit| &limit.value);
        assert!(limit.clone().all(|value| u32::from(value.address) + u32::from(value.kind.registers()) <= end));
    }
    let mut next = u32::from(chain.base) + 2;
    for block in &chain.blocks {
        assert_eq!(u32::from(block.address), next, "{chain:?}");
        assert!(block.model != 0 && block.model != 0xFFFF);
        next += 2 + u32::from(block.length);
        assert!(next <= 0x1_0000);
        let Some(template) = block.template() else { continue };
        let Protocol::Modbus(map) = &template.protocol else { panic!("SunSpec is Modbus") };
        for field in &map.fields {
            let end = u32::from(field.address) + u32::from(field.kind.registers());
            assert!(field.address > block.address + 1 && end <= next, "{field:?} of {block:?}");
        }
    }
}

/// What a device says to one question: mostly the marker first and models of some length, sometimes anything.
fn said(u: &mut Unstructured<'_>) -> Result<Vec<u16>, DeviceError> {
    const MODELS: [u16; 15] = [1, 101, 103, 111, 113, 123, 201, 203, 204, 211, 214, 701, 704, 0xFFFF, 0];
    Ok(match u.int_in_range(0..=9_u8).unwrap_or(0) {
        0 | 1 => vec![0x5375, 0x6E53],
        2..6 => {
            let model = u.choose(&MODELS).copied().unwrap_or(0);
            vec![model, u.int_in_range(0..=160).unwrap_or(0)]
        }
        6 => vec![u.arbitrary().unwrap_or(0), u.arbitrary().unwrap_or(0)],
        7 => vec![0; usize::from(u.int_in_range(0..=5_u8).unwrap_or(0))],
        8 => return Err(DeviceError::Silent { waited: Duration::ZERO }),
        _ => {
            let exception = u.int_in_range(1..=11).unwrap_or(1);
            return Err(DeviceError::Refused { exception, meaning: "" });
        }
    })
}
