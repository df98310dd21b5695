use super::*;
use crate::rights::Users;
use std::net::Ipv4Addr;

fn shared(limits: Limits) -> Rc<Shared> {
    Rc::new(Shared::new(Hub::new(limits.clone(), Users::new(Vec::new()), None), limits))
}

#[tokio::test(flavor = "current_thread")]
async fn who_reads_no_answers_is_asked_for_nothing_more() {
    let shared = shared(Limits { outbox: 10_000, ..Limits::default() });
    let seat = Shared::seat(&shared, Ipv4Addr::LOCALHOST.into()).unwrap();
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let asks = async {
        theirs.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x").await.unwrap();
        let mut taken = 0;
        while timeout(Duration::from_millis(300), theirs.write_all(&[0xc0, 0].repeat(512))).await.is_ok() {
            taken += 1024;
            assert!(taken < 1 << 20, "it reads on and on");
        }
    };
    tokio::select! {
        () = serve(ours, &seat) => panic!("it is given time"),
        () = asks => {}
    }
}

/// Seats for so many from there, admitted or not, until there are none.
fn sit(shared: &Rc<Shared>, from: impl Fn(u32) -> IpAddr, many: u32, admitted: bool) -> Vec<Seat> {
    let seats: Vec<Seat> = (0..many).filter_map(|n| Shared::seat(shared, from(n))).collect();
    seats.iter().filter(|_| admitted).for_each(Seat::admitted);
    seats
}

#[test]
fn others_leave_room_for_this_machine_and_for_each_other() {
    let shared = shared(Limits::default());
    let other = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n).into();
    let here = |_| IpAddr::from(Ipv4Addr::LOCALHOST);
    let one = sit(&shared, |_| other(1), 1000, true);
    let mapped = sit(&shared, |_| Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().into(), 1000, true);
    let neighbours =
        sit(&shared, |n| Ipv6Addr::from_bits((0xfd << 120) + (7 << 64) + u128::from(n)).into(), 1000, true);
    assert_eq!((one.len(), mapped.len(), neighbours.len()), (100, 0, 100));
    let strangers = sit(&shared, other, 1000, false);
    assert_eq!(strangers.len(), 200);
    strangers.iter().for_each(Seat::admitted);
    let mut more = Vec::new();
    for _ in 0..3 {
        more.push(sit(&shared, |n| other(1000 + n), 200, true));
    }
    assert_eq!(more.iter().map(Vec::len).sum::<usize>(), 500);
    let own = sit(&shared, here, 1000, true);
    assert_eq!(own.len(), 100);
    drop((one, mapped, neighbours, strangers, more, own));
    // Nothing is left of any of them.
    assert!(shared.seats.borrow().is_empty());
    assert_eq!((shared.taken.get(), shared.outside.get(), shared.strangers.get()), (0, 0, 0));
    assert_eq!(sit(&shared, here, 2000, true).len(), 1000);
}
