-- Two partitions of the legacy table have no key. Nothing there promises that a payment_id stands for one row, and rowcall
-- settles rows by their key: so the promise is made first. It changes no row, and fails where it would not be true.
create unique index payment_p0000_default_key on payment_p0000_default (payment_id);
create unique index payment_p2007_07_max_key on payment_p2007_07_max (payment_id);
