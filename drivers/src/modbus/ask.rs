//! Single questions and orders, with an answer that is checked.

use super::ModbusBus;
use super::gate::Lane;
use crate::capability::DeviceError;
use crate::template::Table;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio_modbus::{Request, Response};

/// `count` registers, or coils as 0 and 1.
pub(super) async fn read(
    bus: &ModbusBus,
    unit: u8,
    (table, address, count): (Table, u16, u16),
    lane: Lane,
) -> Result<Vec<u16>, DeviceError> {
    let request = match table {
        Table::Coil => Request::ReadCoils(address, count),
        Table::Discrete => Request::ReadDiscreteInputs(address, count),
        Table::Input => Request::ReadInputRegisters(address, count),
        Table::Holding => Request::ReadHoldingRegisters(address, count),
    };
    let words = match bus.transact(unit, request, lane).await? {
        Response::ReadInputRegisters(words) | Response::ReadHoldingRegisters(words) => words,
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
            // Whole bytes come, whatever was asked.
            bits.into_iter().take(count.into()).map(u16::from).collect()
        }
        _ => Vec::new(),
    };
    if words.len() != usize::from(count) {
        return Err(DeviceError::wire(format!("bus {}: an answer of the wrong length", bus.id)));
    }
    Ok(words)
}

/// Does all of this at the same time, on this task.
pub(super) async fn together<T, F: Future<Output = T>>(work: impl Iterator<Item = F>) -> Vec<T> {
    let mut work: Vec<(Pin<Box<F>>, Option<T>)> = work.map(|one| (Box::pin(one), None)).collect();
    poll_fn(|cx| {
        for (one, done) in work.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(result) = one.as_mut().poll(cx) {
                *done = Some(result);
            }
        }
        if work.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    work.into_iter().filter_map(|(_, done)| done).collect()
}

/// Holding registers, for whoever finds out what a device has.
pub(crate) async fn holding(bus: &ModbusBus, unit: u8, address: u16, count: u16) -> Result<Vec<u16>, DeviceError> {
    read(bus, unit, (Table::Holding, address, count), Lane::Reading).await
}

/// Writes registers, by function 16 if there are several or `many` asks for it, or a coil.
pub(super) async fn write(
    bus: &ModbusBus,
    unit: u8,
    (table, address, words): (Table, u16, &[u16]),
    many: bool,
    lane: Lane,
) -> Result<(), DeviceError> {
    let confirmed = match (table, words) {
        (Table::Coil, [word]) => {
            let bit = *word != 0;
            let answer = bus.transact(unit, Request::WriteSingleCoil(address, bit), lane).await?;
            answer == Response::WriteSingleCoil(address, bit)
        }
        (Table::Holding, [word]) if !many => {
            let answer = bus.transact(unit, Request::WriteSingleRegister(address, *word), lane).await?;
            answer == Response::WriteSingleRegister(address, *word)
        }
        (Table::Holding, [_, ..]) => {
            let count = u16::try_from(words.len()).unwrap_or(u16::MAX);
            let request = Request::WriteMultipleRegisters(address, words.to_vec().into());
            bus.transact(unit, request, lane).await? == Response::WriteMultipleRegisters(address, count)
        }
        _ => return Err(DeviceError::nonsense("nothing that can be written")),
    };
    if confirmed { Ok(()) } else { Err(DeviceError::nonsense("it confirmed another order than the one given")) }
}
