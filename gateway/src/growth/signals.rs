//! What monitoring sees of growth: at the gateway that plans, and nothing at the others.

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// Gauges of plans. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Signals {
    leads: IntGauge,
    wished: IntGaugeVec,
    ready: IntGaugeVec,
    unplaced: IntGaugeVec,
}

impl Signals {
    /// Registers them.
    ///
    /// # Panics
    /// When they are registered already: a registry has one gateway.
    pub fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let once = "a registry has one gateway";
        let gauges = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["function"]).expect(good);
            registry.register(Box::new(family.clone())).expect(once);
            family
        };
        let leads = IntGauge::new("gateway_growth_leads", "1 while this gateway plans for all.");
        let leads = leads.expect(good);
        registry.register(Box::new(leads.clone())).expect(once);
        Self {
            leads,
            wished: gauges(
                "gateway_growth_sandboxes_wished",
                "Sandboxes that should be ready on all nodes, at the gateway that plans.",
            ),
            ready: gauges(
                "gateway_growth_sandboxes",
                "Sandboxes that start or serve on all nodes, at the gateway that plans.",
            ),
            unplaced: gauges(
                "gateway_growth_sandboxes_unplaced",
                "Sandboxes that should be ready, and that no node has room for: more nodes are needed.",
            ),
        }
    }

    /// This gateway plans, and this is what it sees: wished, ready and not placed, by function.
    pub(super) fn show<'f>(&self, all: impl Iterator<Item = (&'f str, [u32; 3])>) {
        self.resign();
        self.leads.set(1);
        for (function, [wished, ready, unplaced]) in all {
            self.wished.with_label_values(&[function]).set(wished.into());
            self.ready.with_label_values(&[function]).set(ready.into());
            self.unplaced.with_label_values(&[function]).set(unplaced.into());
        }
    }

    /// Another one plans, or nobody.
    pub(super) fn resign(&self) {
        self.leads.set(0);
        for family in [&self.wished, &self.ready, &self.unplaced] {
            family.reset();
        }
    }
}
