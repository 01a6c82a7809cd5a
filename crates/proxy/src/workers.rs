//! All workers, as the main thread has them.

use std::io;
use std::net::TcpListener;
use std::thread;

use model::Rng;
use telemetry::report::Signals;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::core::Told;
use crate::counters::Extent;
use crate::front::Front;
use crate::limits;
use crate::options::Options;
use crate::worker::{self, Beginning, Order, Place};

/// Worker threads, and the ways to tell them something.
#[derive(Debug)]
pub(crate) struct Workers {
    orders: Vec<mpsc::UnboundedSender<Order>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts as many as the options say.
    pub(crate) fn start(
        options: &Options,
        teller: &mpsc::UnboundedSender<(usize, Told)>,
    ) -> io::Result<Self> {
        let rng = Rng::new(options.seed);
        let mut workers = Self { orders: Vec::new(), threads: Vec::new() };
        let (front, writer) = Front::start(&options.front, options.clock)?;
        let clients_max =
            limits::clients_max(host::limits::open_files_max(), options.workers.max(1));
        for number in 0..options.workers.max(1) {
            let (order, orders) = mpsc::unbounded_channel();
            let beginning = Beginning {
                number,
                clock: options.clock,
                rng: rng.child(&format!("worker/{number}")),
                orders,
                told: teller.clone(),
                front: front.clone(),
                clients_max,
            };
            let thread =
                thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                    if let Err(error) = worker::run(beginning) {
                        tracing::error!(%error, "a worker could not run");
                    }
                })?;
            workers.orders.push(order);
            workers.threads.push(thread);
        }
        // It ends when they have.
        workers.threads.extend(writer);
        Ok(workers)
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.orders.len()
    }

    /// Tells all of them.
    pub(crate) fn tell(&self, order: impl Fn() -> Order) {
        for worker in &self.orders {
            // A worker that has ended has said why.
            drop(worker.send(order()));
        }
    }

    /// Gives each a copy of these sockets, to accept from.
    pub(crate) fn listen_at(&self, places: Vec<(Place, TcpListener)>) {
        for (place, listener) in places {
            for worker in &self.orders {
                match listener.try_clone() {
                    Ok(copy) => drop(worker.send(Order::Listen(place.clone(), copy))),
                    Err(error) => tracing::error!(?place, %error, "no worker can listen there"),
                }
            }
        }
    }

    /// What each has measured, in their order.
    pub(crate) async fn signals(&self, extent: Extent) -> Vec<Signals> {
        let mut all = Vec::new();
        for worker in &self.orders {
            let (answer, answered) = oneshot::channel();
            drop(worker.send(Order::Signals { extent, answer }));
            all.push(answered.await.unwrap_or_default());
        }
        all
    }

    /// A task that ends when all have ended.
    pub(crate) fn ended(&mut self) -> JoinHandle<()> {
        let threads = std::mem::take(&mut self.threads);
        tokio::task::spawn_blocking(move || {
            for thread in threads {
                // One that panicked has said so.
                drop(thread.join());
            }
        })
    }
}
