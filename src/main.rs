use std::sync::Arc; use std::time::Instant;
use valleyscope::{data::*, network::*, objective::*};
fn main() {
    let data = Arc::new(Dataset::open("builtin").unwrap());
    let graph = Arc::new(zoo::build("resnet8:width=8", data.shape, 10).unwrap());
    println!("d = {}", graph.parameter_count());
    for b in [32, 64, 128, 256] {
        let o = Objective::new(graph.clone(), data.clone(), Compute::flex(), b).unwrap();
        let w = initialisation::initial_parameters(&graph, 1); let s = graph.initial_statistics();
        for policy in BatchNormPolicy::ALL {
            let t = Instant::now();
            let m = o.evaluate(&w, &s, policy).unwrap();
            println!("B={b} {policy}: {:.1} ms per 128 images, {:?}", t.elapsed().as_secs_f64()*1e3/6000.*128., m[0].train.loss);
        }
        let o = Arc::new(o);
        let t = Instant::now();
        let hs: Vec<_> = (0..2).map(|_| { let (o,w,s)=(o.clone(),w.clone(),s.clone()); std::thread::spawn(move || { o.evaluate(&w,&s,BatchNormPolicy::Running).unwrap(); })}).collect();
        for h in hs { h.join().unwrap(); }
        println!("  two threads: {:.1} ms per 128 images each pass-equivalent", t.elapsed().as_secs_f64()*1e3/12000.*128.);
        let (x,y)=o.batch(Part::Train,0..b); let t=Instant::now();
        for _ in 0..10 { o.batch_gradient(&w, x.clone(), y.clone(), None).unwrap(); }
        println!("  step {:.1} ms per 128", t.elapsed().as_secs_f64()*1e2*128./b as f64);
    }
    for k in [2,4] {
        let o = Objective::new(graph.clone(), data.clone(), Compute::flex(), 64).unwrap();
        let w = initialisation::initial_parameters(&graph, 1).repeat(k); let s = graph.initial_statistics();
        let t = Instant::now();
        o.evaluate(&w, &s, BatchNormPolicy::Running).unwrap();
        println!("K={k}: {:.1} ms per 128 images per point", t.elapsed().as_secs_f64()*1e3/6000.*128./k as f64);
    }
}
