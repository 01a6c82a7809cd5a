//! tmp
fn main() {
    for a in std::env::args().skip(1) {
        let t = std::fs::read_to_string(&a).unwrap();
        match manifest::read(&a, &t, &Default::default()) {
            Ok(r) => println!("OK {a} {}", r.warnings),
            Err(p) => println!("{p}"),
        }
    }
}
