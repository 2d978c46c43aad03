"""Names of the words that the loop with command queues reads and writes, and of its commands.

Options, rules and section starts are numbers within `cfg`; the words of a channel's state and the
start of its sections are relative to the channel's first word. They are filled in
`command_queues_program`.
"""

NEVER = 1 << 60
"""Later than any tick."""

RD, WR, ACT, PRE, PREAB, REFAB, REFPB, RDA, WRA = range(9)
"""Commands; PREAB is never issued, so that numbers are those of the unified loop."""

ACCEPTED, ALL_DONE, STUCK = range(3)

DRAIN_ABOVE = 8
"""Writes above which they are served while no command queue holds anything: DRAMsim3."""

ACCESSES_FIRST = 4
"""Column accesses of a row that go before another row of its bank: DRAMsim3."""

REQUEST_WORDS = 5
"""Channel, bank within it, row, a number that equal accesses share, 1 for a write."""

RULE_WORDS = 7
"""First word of the follower, level, siblings or 0, ticks, window, its history, first node."""

(
    WORDS, CHANNELS, BANKS, NODES, LEVELS, DUAL, CLOSE_ROW, READ_SIZE, WRITE_SIZE, DEPTH, QUEUES,
    QUEUE_BANKS, RANK_BANKS, REFRESH_TICKS, REFRESH_NODES, SCOPE, REFRESH, LATENCY, OUTSTANDING,
    PER_TICK, GAP, RING_SIZE, BUCKETS,
    # sections of `cfg`: nodes by bank; banks in the order of refreshes; rules by command; rules
    PATH, ORDER, RULE_AT, RULES,
    # sections of a channel: by node and command; by bank; by rank
    READY, OPEN, COLUMNS, PUSHED_OUT, OPENED, SINCE,
    # transaction queues, command queues and what is known of each
    READ_QUEUE, WRITE_QUEUE, QUEUE, QUEUED, QUEUE_WAKE,
    # by slot: a request, or reads that share an access
    ROW, BANK, ADDRESS, CHAIN, READERS, FIRST_AT, SUM_AT, LAST_NUMBER, BUCKET, FREE,
    HISTORY, READ_RING, WRITE_RING,
    OPTIONS,
) = range(52)  # fmt: skip
"""Options, then the start of each section."""

(
    CLOCK, COUNTED, TAKEN, DONE, PENDING, LAST_DONE, READS, READ_HEAD, N_READ_RING, WRITE_HEAD,
    N_WRITE_RING, LOGGED, WRITES, FORWARDED, MERGED, HITS, MISSES, CONFLICTS, LATENCY_SUM,
    LATENCY_MAX, ACTIVE, WAKE, POINTER, DRAIN, TRY_MOVE, N_READ, N_WRITE, N_QUEUED, N_FREE,
    NEXT_REFRESH, DUE, REFRESHED, BLOCK_FROM, BLOCK_TO, COUNT,
) = range(35)  # fmt: skip
"""Scalars of a channel; those of all channels together, up to LOGGED, stand in the first.

From COUNT on, commands issued by number.
"""

SCALARS = COUNT + WRA + 1
