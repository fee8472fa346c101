"""How an adapter gets in: unpacked or copied, checked, stored, registered."""
