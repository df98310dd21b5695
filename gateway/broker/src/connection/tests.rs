use super::*;
use crate::rights::Users;

fn shared(limits: Limits) -> Rc<Shared> {
    Rc::new(Shared::new(Hub::new(limits.clone(), Users::new(Vec::new()), None), limits))
}

#[tokio::test(flavor = "current_thread")]
async fn who_reads_no_answers_is_asked_for_nothing_more() {
    let shared = shared(Limits { outbox: 10_000, ..Limits::default() });
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
        () = serve(ours, &shared) => panic!("it is given time"),
        () = asks => {}
    }
}
