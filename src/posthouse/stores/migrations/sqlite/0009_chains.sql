-- Deliveries to one subscriber that are to arrive in the order of publishing have the same chain; empty: in any order.
ALTER TABLE topic_deliveries ADD COLUMN chain TEXT NOT NULL DEFAULT '';
-- What failed and is tried again holds up what stands behind it: few rows, looked up for each delivery that is due.
CREATE INDEX topic_deliveries_failed ON topic_deliveries (chain, id) WHERE attempts > 0;
