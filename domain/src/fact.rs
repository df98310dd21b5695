//! What happened, apart from readings: each is written to the journal before anyone acts on it.

use crate::dispatch::{Cap, Plan, Release, RoundEvent};
use crate::feeder::{Cause, Irregularity};
use crate::place::{Proof, RadioModel};
use crate::{
    Access, AccountId, ClassId, Credit, DayRange, Emergency, InverterId, MeterId, Money, OnChain, Position, Reason,
    Registers, Replacement, Source, Suspicion, SwitchId, Timestamp, register::Doubt, token::Act,
};
use serde::{Deserialize, Serialize};

/// The position of a record in the journal: strictly increasing, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A fact. Names are past participles: these things are so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The service started.
    Started {
        /// Program version.
        version: String,
    },
    /// The ledger was put back from a copy. What was recorded after the copy is not in it.
    Restored {
        /// The copy's file.
        from: String,
        /// The newest record in it.
        upto: Seq,
        /// When its newest reading was taken or its newest fact was recorded, whichever is later.
        until: Timestamp,
        /// Who put it back.
        by: String,
    },
    /// An account was opened.
    AccountOpened {
        /// Which.
        account: AccountId,
        /// Its number on the chain.
        number: u32,
    },
    /// A customer paid in.
    ToppedUp {
        /// Whose account.
        account: AccountId,
        /// How much.
        amount: Money,
        /// Of that, what paid back debt.
        #[serde(default)]
        debt: Money,
        /// Where it came from.
        source: Source,
    },
    /// The chain took back the block of a deposit, and it is in no other: it never happened.
    DepositTakenBack {
        /// Whose account.
        account: AccountId,
        /// How much.
        amount: Money,
        /// The transaction, as hex.
        transaction: String,
        /// Which of that transaction's deposits it was, from 0.
        ordinal: u32,
    },
    /// Something happened to an account on the chain without its gateway.
    HappenedOnChain {
        /// Whose account.
        account: AccountId,
        /// What.
        event: OnChain,
        /// The transaction, as hex.
        transaction: String,
        /// Which of that transaction's events of this kind, from 0.
        ordinal: u32,
    },
    /// The chain took back the block of such an event, and it is in no other, or is another there: it never happened.
    OnChainTakenBack {
        /// Whose account.
        account: AccountId,
        /// What.
        event: OnChain,
        /// The transaction, as hex.
        transaction: String,
        /// Which of that transaction's events it was, from 0.
        ordinal: u32,
    },
    /// Money was paid back to a customer.
    Refunded {
        /// Whose account.
        account: AccountId,
        /// How much.
        amount: Money,
        /// The operator's own number for it; never used twice.
        reference: String,
        /// Who paid it out.
        who: String,
    },
    /// The operator gave credit without payment, or took it back.
    Adjusted {
        /// Whose account.
        account: AccountId,
        /// How much was given; negative if it was taken.
        amount: Money,
        /// Why, in words for the customer.
        why: String,
        /// The operator's own number for it; never used twice.
        reference: String,
        /// Who did it.
        who: String,
    },
    /// A customer owes more: for a device, or because use beyond the credit became debt.
    Lent {
        /// Whose account.
        account: AccountId,
        /// How much.
        amount: Money,
        /// Whether it was given as credit; otherwise the customer got something else for it.
        as_credit: bool,
        /// What for, in words for the customer.
        why: String,
        /// The operator's own number for it; never used twice.
        reference: String,
        /// Who did it.
        who: String,
    },
    /// What the pool earned before a border of intervals was shared out.
    PoolShared {
        /// The border.
        until: Timestamp,
        /// How far the Pricer had come; what is billed later counts to later intervals.
        upto: Seq,
        /// All of it.
        amount: Money,
    },
    /// Another version of the tariff was announced.
    TariffChanged {
        /// Its number.
        version: u32,
        /// From when it holds.
        since: Timestamp,
        /// Who did it.
        who: String,
    },
    /// The price ranges of a day follow from a forecast of it. A version of the tariff says them; it may be an older one.
    RangesAnnounced {
        /// When the day begins.
        from: Timestamp,
        /// The version that holds then.
        version: u32,
        /// The dearer hours.
        peak_hours: Vec<DayRange>,
        /// The readings that the model learned from: the first instant, and the first after.
        data: (Timestamp, Timestamp),
        /// The model that forecast.
        chosen: String,
        /// Keccak-256 of what it learned, as hex.
        model: String,
        /// Keccak-256 of the forecast in watts, as the contract takes it.
        forecast: String,
    },
    /// The forecast of a day was posted on the chain by this gateway.
    RangesPosted {
        /// The contract's number of the day.
        round: u32,
        /// When it begins.
        from: Timestamp,
        /// The transaction, as hex.
        transaction: String,
    },
    /// Another gateway posted a day, and this one said on the chain whether it forecast the same.
    RangesAttested {
        /// The contract's number of the day.
        round: u32,
        /// When it begins.
        from: Timestamp,
        /// Whether it did.
        agreed: bool,
        /// The transaction, as hex.
        transaction: String,
    },
    /// A customer belongs to another class.
    ClassChanged {
        /// Whose account.
        account: AccountId,
        /// The class; none for the rates without a class.
        class: Option<ClassId>,
        /// From when.
        since: Timestamp,
        /// Who did it.
        who: String,
    },
    /// An account passed a threshold.
    CreditChanged {
        /// Whose.
        account: AccountId,
        /// The state it is in now.
        credit: Credit,
        /// The balance at that moment.
        balance: Money,
    },
    /// An account's emergency credit was offered, taken, used up or paid back.
    EmergencyChanged {
        /// Whose.
        account: AccountId,
        /// What became of it.
        emergency: Emergency,
        /// Who took it; empty if nobody had to.
        by: String,
    },
    /// Somebody asked that a customer's switches that are ready close.
    ReconnectAsked {
        /// Whose.
        account: AccountId,
        /// Who asked.
        by: String,
    },
    /// A switch that was ready was released to close by such an act.
    ReconnectGranted {
        /// Which.
        switch: SwitchId,
        /// Who asked.
        by: String,
    },
    /// A person put a switch somewhere, whatever the account says, or gave it back to its account.
    SwitchOverridden {
        /// Which.
        switch: SwitchId,
        /// Where to; `None` gives it back.
        order: Option<Position>,
        /// Until when, on the wall clock; `None` until somebody gives it back.
        until: Option<Timestamp>,
        /// Kept open for somebody's safety: even a protected customer's, and without regard to its least times.
        safety: bool,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// A switch is not where it says it is, or no longer seems so.
    SwitchSuspected {
        /// Which.
        switch: SwitchId,
        /// What it looks like; `None` when the suspicion is gone.
        suspicion: Option<Suspicion>,
    },
    /// The grid operator's register says who feeds the customer behind a switch: whether that provider's credit is ours
    /// to keep is news.
    SwitchRouted {
        /// Which.
        switch: SwitchId,
        /// The provider's contract, as hex; zero for nobody.
        provider: String,
        /// Whether this gateway may disconnect for want of credit.
        may_disconnect: bool,
    },
    /// A switch was told to move.
    SwitchOrdered {
        /// Which.
        switch: SwitchId,
        /// Where to.
        position: Position,
        /// Why.
        reason: Reason,
    },
    /// A switch's contact was read back where it was ordered to be.
    SwitchConfirmed {
        /// Which.
        switch: SwitchId,
        /// Where it is.
        position: Position,
        /// Why it had been ordered there.
        reason: Reason,
    },
    /// A switch could not be moved, or its contact says otherwise.
    SwitchFailed {
        /// Which.
        switch: SwitchId,
        /// Where it should be.
        wanted: Position,
        /// What went wrong.
        problem: String,
    },
    /// A device stopped answering, or answers nonsense.
    DeviceDegraded {
        /// The meter or switch.
        device: String,
        /// What went wrong.
        problem: String,
    },
    /// A device answers again.
    DeviceRecovered {
        /// The meter or switch.
        device: String,
    },
    /// A meter's register moved as no honest meter's can: nothing more is billed until a person looked at it. Or its
    /// proofs of location failed: until they hold again, or a person says so.
    MeterHeld {
        /// Which.
        meter: MeterId,
        /// Why.
        doubt: Doubt,
        /// How far the Pricer had come, where no reading says that it is held; the ledger fills it in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upto: Option<Seq>,
    },
    /// A meter that was held for its place is there again. What it imported meanwhile is billed; what it exported is not
    /// paid for.
    MeterFound {
        /// Which.
        meter: MeterId,
        /// How far the Pricer had come; the ledger fills it in.
        upto: Seq,
    },
    /// What the beacons of an epoch have to bear a code of.
    Challenged {
        /// Whole epochs since 1970.
        epoch: i64,
        /// The challenge, as hex.
        challenge: String,
        /// The block whose hash it is made of; none if no chain was reached, and it is the gateway's own random number.
        block: Option<u64>,
    },
    /// How a meter's beacon was calibrated: another model than before holds from here on.
    BeaconCalibrated {
        /// Which.
        meter: MeterId,
        /// The model.
        model: RadioModel,
    },
    /// The beacons of an epoch were held against a meter's claim.
    Located {
        /// Which.
        meter: MeterId,
        /// What came of it.
        proof: Proof,
    },
    /// A person looked at a held meter and took its present registers as the new start; nothing was billed for the gap.
    MeterReleased {
        /// Which.
        meter: MeterId,
        /// How far the Pricer had come; the ledger fills it in. Readings after it are billed from the new start.
        upto: Seq,
        /// Who looked.
        by: String,
    },
    /// A feeder and its homes do not add up, or do so in another way than was found before.
    ImbalanceFound {
        /// What was found.
        found: Irregularity,
    },
    /// What was found on a feeder is seen no more.
    ImbalanceCleared {
        /// What it had looked like.
        cause: Cause,
        /// The meter it was about, if it was about one.
        meter: Option<MeterId>,
    },
    /// What the inverters may feed in was planned, before anybody was told.
    Planned {
        /// The plan.
        plan: Plan,
    },
    /// Something came of a plan on the chain.
    DispatchRound {
        /// When its interval begins.
        from: Timestamp,
        /// The contract's number of the round; 0 for a plan that no round was opened for.
        round: u32,
        /// What happened.
        event: RoundEvent,
        /// The transaction, as hex, if it was one of ours.
        transaction: Option<String>,
    },
    /// An inverter was told a limit and heard it: from here on a deviation is not paid for.
    InverterLimited {
        /// Which.
        inverter: InverterId,
        /// Of its rated power.
        to: crate::Permille,
        /// Whether it says that it follows.
        follows: bool,
        /// What that means for its meter.
        cap: Cap,
    },
    /// An inverter is bound by no limit any more.
    InverterReleased {
        /// Which.
        inverter: InverterId,
        /// Why.
        why: Release,
        /// What that means for its meter.
        cap: Cap,
    },
    /// A customer fed in more than was dispatched, and is not paid for what is beyond it.
    PayWithheld {
        /// Whose.
        account: AccountId,
        /// By which meter.
        meter: MeterId,
        /// Start of the interval.
        interval: Timestamp,
        /// What was dispatched.
        dispatched: crate::WattHours,
        /// What was fed in.
        metered: crate::WattHours,
        /// What is not paid.
        amount: Money,
    },
    /// Another device was put in the place of a meter. Up to its last registers the old one was billed; from its first
    /// registers on the new one is.
    MeterReplaced {
        /// What was read off both.
        change: Replacement,
        /// How far the Pricer had come. Readings after it are the new device's.
        upto: Seq,
        /// Who did it.
        by: String,
    },
    /// A meter belongs to another customer: what was read so far was billed to the one before.
    MeterMoved {
        /// Which.
        meter: MeterId,
        /// Who paid for it; none for a feeder meter.
        from: Option<AccountId>,
        /// Who pays for it now.
        to: AccountId,
        /// What it had counted; the ledger fills it in. None for a meter that was never read.
        registers: Option<Registers>,
        /// How far the Pricer had come; the ledger fills it in. Readings after it are the new customer's.
        upto: Seq,
        /// Who did it.
        by: String,
    },
    /// A token was used that is not simply money paid in.
    TokenUsed {
        /// Whose account.
        account: AccountId,
        /// Which of the account's tokens; it never counts again.
        count: u32,
        /// What it does.
        act: Act,
        /// By how much it changed the balance.
        amount: Money,
    },
    /// Somebody tried a voucher or token that is none.
    CodeRefused {
        /// For which account.
        account: AccountId,
        /// How many times in a row.
        failed: u32,
        /// Until when no other is looked at.
        until: Timestamp,
        /// Who tried.
        by: String,
    },
    /// Who may come in changed, or somebody came in or was kept out.
    AccessChanged {
        /// Whom or what it is about: a user, a token, or the account of a customer's page.
        subject: String,
        /// What became of it.
        change: Access,
        /// Who did it.
        by: String,
    },
    /// A batch of registers is final on the chain.
    Settled {
        /// The batch.
        batch: u64,
        /// Accounts in it.
        accounts: u32,
        /// The transaction, as hex.
        transaction: String,
        /// Gas it used.
        gas: u64,
    },
    /// A batch could not be settled for a reason that waiting will not cure.
    SettlementRefused {
        /// The batch.
        batch: u64,
        /// What the chain said.
        problem: String,
    },
}
