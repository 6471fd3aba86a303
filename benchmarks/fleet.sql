set maintenance_work_mem = '512MB';
set synchronous_commit = off;
insert into fleet_site (id, organisation_id, name, street, postcode, city, country, time_zone, created_at)
select n, :organisation:, 'Lindenweg ' || n, 'Lindenweg ' || n, '66280', 'Sulzbach', 'DE', 'Europe/Berlin', now()
from generate_series(1, :sites:) n;
insert into fleet_concentrator (id, organisation_id, site_id, eui, name, mqtt_password, public_key, desired_revision,
  whole_since, created_at, announced_key, running_revision, online, boot, version, mode, devices, queue_depth,
  oldest_age_s, dropped, clock_quality, gateways, last_state_at, certificate_key)
select n, :organisation:, n, lpad(to_hex(x'0016c00100000000'::bigint + n), 16, '0'), 'Lindenweg ' || n, '', '', 1, 1, now(), '', 1,
  true, '', '1', 'stand-alone', :per_site:, 0, 0, 0, 'ntp', '[]', now(), ''
from generate_series(1, :sites:) n;
insert into fleet_adapter (id, organisation_id, site_id, concentrator_id, dev_eui, join_eui, serial, kind, activation,
  dev_addr, lorawan, location, created_at)
select n, :organisation:, (n - 1) / :per_site: + 1, (n - 1) / :per_site: + 1,
  lpad(to_hex(x'70b3d57ed0000000'::bigint + n), 16, '0'), '70b3d57ed0000001', 'MS' || n, 'meterspan', 'otaa', '', '1.0.4',
  'cellar ' || n % 20, now() - interval '30 days'
from generate_series(1, :adapters:) n;
insert into fleet_meteringpoint (id, organisation_id, site_id, name, melo_id, malo_id, created_at)
select n, :organisation:, (n - 1) / :per_site: + 1, 'Flat ' || n, '', '', now() from generate_series(1, :adapters:) n;
insert into fleet_meter (id, organisation_id, metering_point_id, meter_id, server_id, maker, installed_at)
select n, :organisation:, n, '1EMH00' || lpad(n::text, 8, '0'), '', 'EMH', now() - interval '30 days'
from generate_series(1, :adapters:) n;
insert into pairing_pairing (id, organisation_id, adapter_id, input, metering_point_id, meter_id, register_group, state, identity,
  reason, from_at, identity_read, note, display_unit, photo)
select n, :organisation:, n, 0, n, n, 'all', 'confirmed', 'match', '', now() - interval '30 days', '', '', '', ''
from generate_series(1, :adapters:) n;
insert into telemetry_adapterstatus (adapter_id, organisation_id, concentrator_id, state, last_seen, first_counter,
  last_counter, epoch, fcnt, rssi, snr, dr, telegrams, received, refused, period_s)
select n, :organisation:, (n - 1) / :per_site: + 1, case when n % 97 = 0 then 'silent' else 'heard' end,
  now() - (case when n % 97 = 0 then 86400 else n % 900 end) * interval '1 second', 1, :counters:, 1, :counters:,
  -80 - n % 40, 9 - n % 20, 5 - n % 3, :counters:, :counters:, 0, :period:
from generate_series(1, :adapters:) n where n % 199 <> 0;
alter table telemetry_reading drop constraint telemetry_reading_pkey;
drop index reading_series;
insert into telemetry_reading (adapter_id, counter, measured_at, value, metering_point_id, register)
select n, c, now() - ((:counters: - c) * :period: + n % 900) * interval '1 second',
  case r when 1 then 1000000 + n * 7 + c * (90 + (c * n) % 170) else 200 + (c * 37 + n) % 900 end, n, r
from generate_series(1, :adapters:) n, generate_series(1, :counters:) c, (values (1), (7)) as registers (r);
alter table telemetry_reading add constraint telemetry_reading_pkey primary key (adapter_id, counter, register);
create index reading_series on telemetry_reading (adapter_id, register, measured_at);
insert into telemetry_hourrollup (adapter_id, register, start, metering_point_id, first_at, last_at, first_value, last_value,
  min_value, max_value, mean, count)
select adapter_id, register, date_trunc('hour', measured_at), adapter_id, min(measured_at), max(measured_at), min(value),
  max(value), min(value), max(value), avg(value), count(*)
from telemetry_reading where adapter_id % 100 = 0 group by 1, 2, 3;
insert into telemetry_telegram (id, organisation_id, concentrator_id, adapter_id, received_at, stored_at, counter, fcnt, epoch,
  freq, rssi, snr, fport, dr, time_quality, key_slot, sealed, dev_eui, payload, rx)
select (lpad(to_hex(x'019b000000000000'::bigint + n), 16, '0') || lpad(to_hex(c), 16, '0'))::uuid, :organisation:,
  (n - 1) / :per_site: + 1, n, now() - ((:counters: - c) * :period: + n % 900) * interval '1 second', now(), c, c, 1, 868100000,
  -80 - n % 40, 9 - n % 20, 16, 5, 2, 1, false, lpad(to_hex(x'70b3d57ed0000000'::bigint + n), 16, '0'),
  '\x11267f619cc262b842d3e97ed2d1c10f', '[]'
from generate_series(1, :adapters:) n, generate_series(:counters: - :telegrams: + 1, :counters:) c;
insert into slots_assignment (adapter_id, organisation_id, concentrator_id, channel, phase_ms, period_s, data_rate, size,
  guard_ms, length_ms, version, dev_addr, overlap_ms, assigned_at, echoed_version, echoed_state, echoed_at, proposals)
select n, :organisation:, (n - 1) / :per_site: + 1, n % 8, (n - 1) % :per_site: / 8 * 188, 900, 5, 16, 60, 188, 1, '', 0,
  now() - interval '30 days', 1, 0, now(), 0
from generate_series(1, :adapters:) n;
insert into telemetry_slotday (adapter_id, concentrator_id, day, version, guard_ms, inside, outside, other, expected, arrived,
  collided, early_ms, late_ms, median_ms, rate_ppb, answers, marks)
select n, (n - 1) / :per_site: + 1, (now() at time zone 'UTC')::date - back, 1, 60, 95, 0, 0, 96, 95, 0, 5 + n % 9,
  case when n % 499 = 0 then 50 else 8 + n % 11 end, n % 5, n % 20000 - 10000, 2, case when n % 499 = 0 then 1 else 0 end
from generate_series(1, :adapters:) n, generate_series(0, 2) back;
analyze
