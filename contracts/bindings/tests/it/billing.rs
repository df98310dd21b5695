//! What the contract does, against a model of it in plain Rust that shares nothing with it.

use crate::street::{PRICES, Street, WEI_PER_UNIT, charged, item, open, owner, why};
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::provider::{self, AccountOnChain, Credit, CreditChanged, Item, Prices, Totals};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Money, Price, WattHours};
use proptest::prelude::*;

const ACCOUNTS: u32 = 4;
const LOW_AT: i64 = 50_000;

/// An account, by how much its registers advance, and its charge.
type Advance = (u32, [i64; 3], i64);

#[derive(Clone, Debug)]
enum Step {
    Deposit(u32, i64),
    Settle(Vec<Advance>),
    Withdraw(i64),
    SetTariff([u32; 3]),
    /// The last settlement arrives once more.
    Replay,
    /// A settlement for the tariff before.
    OldTariff,
    /// One register of one account is one lower than billed.
    Backward(u32, usize),
}

/// Energy, money, both or neither.
fn advance() -> impl Strategy<Value = Advance> {
    let by = prop_oneof![3 => prop::array::uniform3(0_i64..2_000), 1 => Just([0; 3])];
    (1..=ACCOUNTS, by, prop_oneof![1 => Just(0), 2 => -600_000_i64..600_000])
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let account = 1..=ACCOUNTS;
    let step = prop_oneof![
        3 => (account.clone(), 1_i64..2_000_000).prop_map(|(n, u)| Step::Deposit(n, u)),
        5 => prop::collection::vec(advance(), 1..8).prop_map(Step::Settle),
        2 => (1_i64..1_500_000).prop_map(Step::Withdraw),
        1 => prop::array::uniform3(0_u32..1_000).prop_map(Step::SetTariff),
        1 => Just(Step::Replay),
        1 => Just(Step::OldTariff),
        1 => (account, 0_usize..3).prop_map(|(n, r)| Step::Backward(n, r)),
    ];
    prop::collection::vec(step, 1..25)
}

#[derive(Clone, Copy, Default)]
struct Account {
    balance: i64,
    registers: [i64; 3],
}

struct Model {
    accounts: [Account; ACCOUNTS as usize],
    prices: [i64; 3],
    version: u32,
    sequence: u64,
    paid_in: i64,
    withdrawn: i64,
    earned: i64,
}

impl Model {
    fn new() -> Self {
        let prices = [PRICES.off_peak, PRICES.peak, PRICES.feed_in].map(|p| i64::from(p.0));
        Self { accounts: Default::default(), prices, version: 1, sequence: 1, paid_in: 0, withdrawn: 0, earned: 0 }
    }

    fn at(&mut self, number: u32) -> &mut Account {
        &mut self.accounts[usize::try_from(number).unwrap() - 1]
    }

    fn owed(&self) -> i64 {
        self.accounts.iter().map(|a| a.balance.max(0)).sum()
    }

    /// Bills the advances and returns the items that say so, and the crossings that follow.
    fn settle(&mut self, advances: &[Advance]) -> (Vec<Item>, Vec<CreditChanged>) {
        let (prices, mut crossings) = (self.prices, Vec::new());
        let items = advances.iter().map(|(number, by, charge)| {
            let account = self.at(*number);
            let before = account.balance;
            for (register, step) in account.registers.iter_mut().zip(by) {
                *register += step;
            }
            let cost = by[0] * prices[0] + by[1] * prices[1] - by[2] * prices[2] + charge;
            account.balance -= cost;
            let (after, registers) = (account.balance, account.registers);
            self.earned += cost;
            let crossed = [
                (before > LOW_AT && after <= LOW_AT, Credit::Low),
                (before > 0 && after <= 0, Credit::Exhausted),
                (before <= 0 && after > 0, Credit::Restored),
            ];
            for (_, credit) in crossed.into_iter().filter(|(crossed, _)| *crossed) {
                crossings.push(CreditChanged { number: *number, credit, balance: Money(after) });
            }
            charged(item(*number, registers[0], registers[1], registers[2]), *charge)
        });
        (items.collect(), crossings)
    }
}

fn take(street: &Street<'_>, model: &mut Model, step: &Step) {
    let next = item(1, model.at(1).registers[0] + 1, model.at(1).registers[1], model.at(1).registers[2]);
    match step {
        Step::Deposit(number, units) => {
            let before = model.at(*number).balance;
            model.at(*number).balance += units;
            model.paid_in += units;
            let receipt = street.deposit(*number, *units).unwrap();
            let restored = receipt.logs.iter().any(|l| provider::credit_changed(l).is_some());
            assert_eq!(restored, before <= 0 && before + units > 0);
            let said = provider::deposited(&receipt.logs[0]).unwrap();
            assert_eq!((said.number, said.units, said.from), (*number, Money(*units), street.key.address()));
        }
        Step::Settle(advances) => {
            let before = model.earned;
            let (items, crossings) = model.settle(advances);
            let root = B256::repeat_byte(u8::try_from(model.sequence).unwrap());
            let call = provider::settle(street.provider, model.sequence, model.version, root, &items).unwrap();
            let receipt = street.send(call).unwrap();
            let said = provider::settled(receipt.logs.last().unwrap()).unwrap();
            let sum = |i: usize| WattHours(advances.iter().map(|(_, by, _)| by[i]).sum());
            let charged: i64 = advances.iter().map(|(_, _, charge)| charge).sum();
            assert_eq!((said.off_peak, said.peak, said.feed_in), (sum(0), sum(1), sum(2)));
            assert_eq!(
                i128::try_from(said.debited).unwrap() - i128::try_from(said.credited).unwrap(),
                i128::from(model.earned - before - charged)
            );
            assert_eq!((said.charged, said.lines_root), (Money(charged), root));
            assert_eq!(said.items_hash, contracts::keccak256(provider::pack(&items).unwrap()));
            assert_eq!(receipt.logs.iter().filter_map(provider::credit_changed).collect::<Vec<_>>(), crossings);
            model.sequence += 1;
        }
        Step::Withdraw(units) => {
            let available = (model.paid_in - model.withdrawn - model.owed()).max(0);
            let result =
                street.send(provider::withdraw(street.provider, Address::repeat_byte(0xee), Money(*units)).unwrap());
            if *units <= available {
                result.unwrap();
                (model.withdrawn, model.earned) = (model.withdrawn + units, model.earned - units);
            } else {
                assert_eq!(why(result), format!("NotAvailable({available}, {units})"));
            }
        }
        Step::SetTariff([a, b, c]) => {
            street
                .send(provider::set_tariff(
                    street.provider,
                    Prices { off_peak: Price(*a), peak: Price(*b), feed_in: Price(*c) },
                ))
                .unwrap();
            model.prices = [i64::from(*a), i64::from(*b), i64::from(*c)];
            model.version += 1;
        }
        Step::Replay => {
            let (wanted, got) = (model.sequence, model.sequence - 1);
            assert_eq!(why(street.settle(got, model.version, &[next])), format!("WrongSequence({wanted}, {got})"));
        }
        Step::OldTariff => {
            let (wanted, got) = (model.version, model.version - 1);
            assert_eq!(why(street.settle(model.sequence, got, &[next])), format!("WrongTariff({wanted}, {got})"));
        }
        Step::Backward(number, which) => {
            let mut registers = model.at(*number).registers;
            registers[*which] -= 1;
            if registers[*which] >= 0 {
                let back = item(*number, registers[0], registers[1], registers[2]);
                assert_eq!(why(street.settle(model.sequence, model.version, &[next, back])), "RegisterStepsBack(1)");
            }
        }
    }
}

fn compare(street: &Street<'_>, model: &Model) {
    let numbers: Vec<u32> = (1..=ACCOUNTS).collect();
    let found = provider::accounts(street.chain, street.provider, &numbers).unwrap();
    for (found, wanted) in found.iter().zip(&model.accounts) {
        let flag = |on: bool, bit| if on { bit } else { 0 };
        let flags = AccountOnChain::OPEN
            | flag(wanted.balance <= LOW_AT, AccountOnChain::LOW)
            | flag(wanted.balance <= 0, AccountOnChain::EXHAUSTED);
        let [off_peak, peak, feed_in] = wanted.registers.map(WattHours);
        assert_eq!(*found, AccountOnChain { balance: Money(wanted.balance), off_peak, peak, feed_in, flags });
    }
    let totals = provider::totals(street.chain, street.provider).unwrap();
    let [paid_in, withdrawn, earned, owed] = [model.paid_in, model.withdrawn, model.earned, model.owed()].map(Money);
    assert_eq!(totals, Totals { paid_in, withdrawn, earned, owed, ..Totals::default() });
    let balances: i64 = found.iter().map(|a| a.balance.0).sum();
    assert_eq!(paid_in.0, balances + earned.0 + withdrawn.0, "money was made or lost");
    let held = U256::try_from(paid_in.0 - withdrawn.0).unwrap() * U256::from(WEI_PER_UNIT);
    assert_eq!(street.chain.balance(street.provider).unwrap(), held);
    let next = provider::next_sequence(street.chain, street.provider, street.key.address()).unwrap();
    assert_eq!(next, model.sequence);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_contract_and_a_plain_model_agree_after_every_step(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let chain = open(dir.path());
        let street = Street::deploy(&chain, Money(LOW_AT));
        street.open_accounts(ACCOUNTS);
        let mut model = Model::new();
        for step in &steps {
            take(&street, &mut model, step);
            compare(&street, &model);
        }
    }

    #[test]
    fn it_makes_no_difference_how_energy_and_charges_are_cut_into_batches(
        advances in prop::collection::vec(advance(), 2..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut ends = Vec::new();
        let cut = 1 + cut.index(advances.len() - 1);
        for parts in [vec![&advances[..]], vec![&advances[..cut], &advances[cut..]]] {
            let dir = tempfile::tempdir().unwrap();
            let chain = open(dir.path());
            let street = Street::deploy(&chain, Money(LOW_AT));
            street.open_accounts(ACCOUNTS);
            street.deposit(1, 300_000).unwrap();
            let mut model = Model::new();
            for part in parts {
                let (items, _) = model.settle(part);
                street.settle(model.sequence, 1, &items).unwrap();
                model.sequence += 1;
            }
            let accounts: Vec<_> = (1..=ACCOUNTS).map(|n| provider::account(&chain, street.provider, n).unwrap()).collect();
            ends.push((accounts, provider::totals(&chain, street.provider).unwrap()));
        }
        prop_assert_eq!(&ends[0], &ends[1]);
    }
}

#[test]
fn a_reading_that_was_lost_or_skipped_is_billed_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(2);
    street.settle(1, 1, &[item(1, 10, 0, 0), item(2, 10, 5, 1), item(1, 30, 0, 0)]).unwrap();
    let one = provider::account(&chain, street.provider, 1).unwrap();
    assert_eq!((one.balance, one.off_peak), (Money(-30 * 200), WattHours(30)));
}

#[test]
fn the_largest_registers_are_billed_exactly_or_refused_and_never_wrapped() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(1);
    let max = WattHours::REGISTER_MAX.0;
    let price = |units| {
        let prices = Prices { off_peak: Price(units), peak: Price(units), feed_in: Price(0) };
        street.send(provider::set_tariff(street.provider, prices)).unwrap();
    };
    price(u32::MAX);
    assert_eq!(why(street.settle(1, 2, &[item(1, max, max, max)])), "BalanceOutOfRange(0)");
    price(1 << 20);
    street.settle(1, 3, &[item(1, max, max, max)]).unwrap();
    let account = provider::account(&chain, street.provider, 1).unwrap();
    assert_eq!(account.balance, Money(-2 * max * (1 << 20)));
}

#[test]
fn everybody_may_pay_but_only_the_staff_may_do_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(1);
    let (at, stranger) = (street.provider, LocalKey::generate().unwrap());
    let gift = Call { to: Some(stranger.address()), value: U256::from(10).pow(U256::from(20)), data: Vec::new() };
    street.send(gift).unwrap();
    street.send_as(&stranger, provider::deposit(at, 1, Money(5), U256::from(WEI_PER_UNIT)).unwrap()).unwrap();
    let name = provider::name_word("mine").unwrap();
    let settle = || provider::settle(at, 1, 1, B256::ZERO, &[item(1, 1, 1, 1)]).unwrap();
    let refused = [
        (provider::open(at, 9, name), "NotSettler()"),
        (provider::open_many(at, &[(9, name)]), "NotSettler()"),
        (settle(), "NotSettler()"),
        (provider::set_tariff(at, PRICES), "NotOwner()"),
        (provider::set_low_at(at, Money(1)).unwrap(), "NotOwner()"),
        (provider::set_settler(at, stranger.address(), true), "NotOwner()"),
        (provider::withdraw(at, stranger.address(), Money(1)).unwrap(), "NotOwner()"),
        (provider::transfer_ownership(at, stranger.address()), "NotOwner()"),
        (provider::accept_ownership(at), "NotPendingOwner()"),
    ];
    for (call, wanted) in refused {
        assert_eq!(why(street.send_as(&stranger, call)), wanted);
    }
    street.send(provider::set_settler(at, stranger.address(), true)).unwrap();
    assert!(provider::is_settler(&chain, at, stranger.address()).unwrap());
    street.send_as(&stranger, settle()).unwrap();
    street.settle(1, 1, &[item(1, 2, 2, 2)]).expect("every settler has its own sequence");
    street.send(provider::set_settler(at, stranger.address(), false)).unwrap();
    assert_eq!(
        why(street.send_as(&stranger, provider::settle(at, 2, 1, B256::ZERO, &[item(1, 3, 3, 3)]).unwrap())),
        "NotSettler()"
    );
    street.send(provider::transfer_ownership(at, stranger.address())).unwrap();
    assert_eq!(provider::owner(&chain, at).unwrap(), owner().address());
    street.send_as(&stranger, provider::accept_ownership(at)).unwrap();
    assert_eq!(provider::owner(&chain, at).unwrap(), stranger.address());
}

#[test]
fn what_makes_no_sense_reverts_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(1);
    let at = street.provider;
    let settle =
        |sequence, version, items: &[Item]| provider::settle(at, sequence, version, B256::ZERO, items).unwrap();
    let (name, other) = (provider::name_word("flat-1").unwrap(), provider::name_word("other").unwrap());
    let cases = [
        (provider::open(at, 1, other), "NumberTaken(1)".to_owned()),
        (provider::open(at, 2, name), format!("NameTaken({name})")),
        (provider::open(at, 0, other), "BadNumber()".into()),
        (provider::open(at, 2, Default::default()), "BadName()".into()),
        (provider::open_many(at, &[(2, other), (2, name)]), "NumberTaken(2)".into()),
        (provider::deposit(at, 7, Money(1), U256::from(1000)).unwrap(), "NoSuchAccount(7)".into()),
        (provider::deposit(at, 1, Money(1), U256::from(1001)).unwrap(), "NotWholeUnits(1001, 1000)".into()),
        (provider::deposit(at, 1, Money(1), U256::from(999)).unwrap(), "NotWholeUnits(999, 1000)".into()),
        (settle(1, 1, &[item(1, 0, 0, 0), item(2, 0, 0, 0)]), "NotOpen(1)".into()),
        (settle(2, 1, &[item(1, 0, 0, 0)]), "WrongSequence(1, 2)".into()),
        (settle(1, 2, &[item(1, 0, 0, 0)]), "WrongTariff(1, 2)".into()),
        (provider::withdraw(at, Address::ZERO, Money(1)).unwrap(), "BadPayee()".into()),
    ];
    for (call, wanted) in cases {
        assert_eq!(why(street.send(call.clone())), wanted);
        assert_eq!(why(chain.estimate_gas(owner().address(), &call)), wanted);
    }
    let mut odd = settle(1, 1, &[item(1, 0, 0, 0)]);
    odd.data[4 + 5 * 32 - 1] = 19;
    assert_eq!(why(street.send(odd)), "BadLength(19)", "items without a charge are no items");
    let plain = Call { to: Some(at), value: U256::from(1000), data: Vec::new() };
    assert_eq!(why(street.send(plain)), "no reason given", "coin without an account has to stay with its sender");
    assert_eq!(provider::number_of(&chain, at, name).unwrap(), Some(1));
    assert_eq!(provider::number_of(&chain, at, other).unwrap(), None);
    assert_eq!(provider::name_of(&chain, at, 1).unwrap(), name);
}

#[test]
fn a_charge_moves_money_where_no_energy_flowed_and_moves_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let chain = open(dir.path());
    let street = Street::deploy(&chain, Money(0));
    street.open_accounts(2);
    let balances = || [1, 2].map(|n| provider::account(&chain, street.provider, n).unwrap().balance.0);
    let fee_and_voucher = [charged(item(1, 0, 0, 0), 700), charged(item(2, 0, 0, 0), -1_000)];
    let receipt = street.settle(1, 1, &fee_and_voucher).unwrap();
    let crossed: Vec<_> = receipt.logs.iter().filter_map(provider::credit_changed).collect();
    assert_eq!(crossed, [CreditChanged { number: 2, credit: Credit::Restored, balance: Money(1_000) }]);
    assert_eq!(balances(), [-700, 1_000]);
    assert_eq!(why(street.settle(1, 1, &fee_and_voucher)), "WrongSequence(2, 1)");
    // The registers come again as they are, the charge does not.
    street.settle(2, 1, &[item(1, 0, 0, 0), item(2, 0, 0, 0)]).unwrap();
    assert_eq!(balances(), [-700, 1_000]);
    let totals = provider::totals(&chain, street.provider).unwrap();
    assert_eq!((totals.paid_in, totals.earned, totals.owed), (Money(0), Money(-300), Money(1_000)));
    // Cash that was taken elsewhere is not coin: nobody can withdraw it here.
    assert_eq!(provider::available(&chain, street.provider), Ok(Money(0)));
}
