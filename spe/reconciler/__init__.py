"""Makes the world follow the record: desired, plan, apply, observe; outbox, timers, one leader."""
