//! Which requests read all fields of a model: as few as its limits allow.

use super::{RegisterField, Table};

/// One read request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which table.
    pub table: Table,
    /// First register.
    pub address: u16,
    /// How many.
    pub quantity: u16,
}

impl Request {
    /// Where in its answer `field` begins, if it is wholly inside.
    #[must_use]
    pub fn offset_of(&self, field: &RegisterField) -> Option<usize> {
        let start = field.address.checked_sub(self.address)?;
        let inside = start.checked_add(field.kind.registers())? <= self.quantity;
        (self.table == field.table && inside).then_some(usize::from(start))
    }

    /// Whether it asks for the registers of `field` and no others.
    pub(crate) fn is_all_of(&self, field: &RegisterField) -> bool {
        self.offset_of(field) == Some(0) && field.kind.registers() == self.quantity
    }
}

/// Joins fields of one table that lie at most `max_gap` registers apart, into requests of at most `max_quantity`.
pub(super) fn requests(fields: &[RegisterField], max_quantity: u16, max_gap: u16) -> Vec<Request> {
    let mut sorted: Vec<&RegisterField> = fields.iter().collect();
    sorted.sort_by_key(|f| (f.table, f.address));
    let mut plan: Vec<Request> = Vec::new();
    for field in sorted {
        if let Some(last) = plan.last_mut() {
            let end = last.address.saturating_add(last.quantity);
            let gap = field.address.saturating_sub(end);
            let joined = field.address.saturating_sub(last.address).saturating_add(field.kind.registers());
            if last.table == field.table && gap <= max_gap && joined <= max_quantity {
                last.quantity = last.quantity.max(joined);
                continue;
            }
        }
        plan.push(Request { table: field.table, address: field.address, quantity: field.kind.registers() });
    }
    plan
}
