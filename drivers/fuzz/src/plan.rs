//! Requests read all of a model within its limits, whatever the device refuses.

use super::models::modbus;
use arbitrary::Unstructured;
use drivers::fuzzing::{Walk, walk};
use drivers::template::{ModbusMap, RegisterField, Request};

/// Every quantity of a model is read with one request, no request asks for more than the device gives, and the plan
/// without gaps asks for nothing that no quantity names. When a device refuses requests that touch some registers, a
/// reading ends soon, asks for nothing outside the plan, and knows of every quantity whether it was answered or
/// refused; what was refused is what the device lacks. The next reading asks for what was answered and nothing else.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let Some((map, text)) = modbus(&mut u) else { return };
    for requests in [&map.requests, &map.requests_without_gaps] {
        for field in &map.fields {
            assert!(requests.iter().any(|r| r.offset_of(field).is_some()), "{field:?} in {text}");
        }
        for request in requests {
            assert!((1..=map.max_quantity).contains(&request.quantity), "{request:?} in {text}");
            assert!(u32::from(request.address) + u32::from(request.quantity) <= 0x1_0000);
        }
    }
    let named = |request: &Request, at| {
        let mut here = map.fields.iter().filter(|field| field.table == request.table);
        here.any(|field| at >= field.address && at - field.address < field.kind.registers())
    };
    for request in &map.requests_without_gaps {
        assert!((0..request.quantity).all(|at| named(request, request.address + at)), "{request:?} in {text}");
    }
    let first = map.requests.iter().map(|r| r.address).min().unwrap_or(0);
    let lacks: Vec<u16> =
        (0..4).filter_map(|_| u.int_in_range(0..=63_u16).ok()).map(|at| first.wrapping_add(at)).collect();
    let at_most = u.int_in_range(0..=125_u16).unwrap_or(0).max(1);
    let lacking = |address: u16, quantity: u16| {
        quantity > at_most || lacks.iter().any(|at| at.checked_sub(address).is_some_and(|skip| skip < quantity))
    };
    let walks = walk(&map.requests, &map.fields, 2, |part| lacking(part.address, part.quantity));
    let [one, two] = walks.as_slice() else { unreachable!("two readings") };
    refused_or_answered(&map, one, lacking, &text);
    let answered = one.asked.iter().filter(|part| !lacking(part.address, part.quantity));
    if answered.clone().count() > 0 {
        assert!(answered.eq(&two.asked), "{:?} and then {:?} of {text}", one.asked, two.asked);
    }
}

fn refused_or_answered(map: &ModbusMap, walk: &Walk, lacking: impl Fn(u16, u16) -> bool, text: &str) {
    assert!(walk.asked.len() <= map.requests.len() + 2 * map.fields.len(), "{walk:?} of {text}");
    for part in &walk.asked {
        let inside = |whole: &Request| {
            let skip = part.address.checked_sub(whole.address);
            skip.is_some_and(|skip| skip + part.quantity <= whole.quantity) && part.table == whole.table
        };
        assert!(map.requests.iter().any(inside), "{part:?} is not in the plan of {text}");
    }
    let answered = |field: &RegisterField| {
        let mut parts = walk.asked.iter().filter(|part| !lacking(part.address, part.quantity));
        parts.any(|part| part.offset_of(field).is_some())
    };
    for field in &map.fields {
        let refused = walk.refused.iter().any(|part| part.offset_of(field).is_some());
        assert!(answered(field) || refused, "{field:?} is forgotten in {text}");
        assert!(answered(field) || lacking(field.address, field.kind.registers()), "{field:?} is there in {text}");
    }
}
