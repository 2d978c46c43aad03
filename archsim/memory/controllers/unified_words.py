"""Names of the words that the unified inner loop reads and writes, and of its commands.

Options and section starts are numbers within `cfg`; the words of a channel's state and the start of
its sections are relative to the channel's first word. `unified_program` fills them.
"""

NEVER = 1 << 48
"""Later than any tick."""

PLACE_BITS = 14
"""Bits below the tick in a choice (see `unified_choose`), enough for both queues' places."""

PLACES = (1 << PLACE_BITS) - 1

RD, WR, ACT, PRE, PREAB, REFAB, REFPB, RDA, WRA, ACT2, CAS, BLOCKED = range(12)
"""Commands; BLOCKED stands for a precharge that would close a row that is being used.

`ready[command * banks + bank]` is the first tick at which the command is legal. The same product is
the key of a queued request: what it needs next, and where.
"""

REQUEST_WORDS = 5
"""Channel from the lane's first, bank within it, row, a number that equal accesses share, write."""

DIGIT_BITS, FIELD_BITS = 6, 12
DIGITS, FIELDS = 1 << DIGIT_BITS, 1 << FIELD_BITS
"""A decoded place is row x FIELDS^2 + bank x FIELDS + channel; see `unified_lanes`."""

ROUNDS_RUN = 3
"""Rounds of refreshes at the end of a rest that are run one by one."""

RULE_WORDS = 7
"""Of a rule: commands put off, span, span of the parent, ticks, rings, stride, window."""

NO_REFRESH, ALL_BANK, PER_BANK, INTERLEAVED = range(4)
ACTIVE_LIST, QUEUE, HEAD, SECOND_HALF = range(1, 5)
"""Where a command comes from: a request whose row is open, a waiting one, the head of the list of
maintenance commands, or the second half of an activation."""

ACCEPTED, ALL_DONE, STUCK = range(3)

(
    WORDS, CHANNELS, BANKS, DUAL, EDGE, TWO_STEP, READ_SIZE, WRITE_SIZE, WRITE_HIGH, WRITE_LOW,
    IN_ORDER, ROW_HIT_FIRST, UPGRADE, CLOSE_AFTER, IDLE_LIMIT, REFRESH, REFRESH_TICKS, SCOPE,
    REFRESH_BANK_TICKS, SETS, LATENCY, ACT2_TICKS, WCK_READ, WCK_WRITE, OUTSTANDING, PER_TICK, GAP,
    START, RING_SIZE, FIFO_SIZE,
    # sections by bank
    READY, OPEN, USED, COLUMNS, LAST, FLAG, FIRST,
    # by place in a queue, reads before writes; by place in the list of active requests
    SLOT, ACTIVE_SLOT,
    # by slot: a request that was accepted and has not had its column access
    KEY, ROW, ADDRESS, ARRIVAL, NUMBER, TOUCHED, NEXT_SLOT, IS_WRITE, FREE,
    FIFO, RING, JOINED, ALLOWED,
    OPTIONS,
) = range(53)  # fmt: skip
"""Options, then the start of each section."""

(
    CLOCK, FROM, DONE, PENDING, LAST_DONE, INJECTED, INJECTED_AT, TAKEN, READS, WRITES, FORWARDED,
    MERGED, HITS, MISSES, CONFLICTS, LATENCY_SUM, LATENCY_MAX, RETIRED_BY, WAKE, WRITING, N_READ,
    N_WRITE, N_ACTIVE, N_FREE, FIFO_HEAD, N_FIFO, RING_HEAD, N_RING, NEXT_REFRESH, REFRESH_AFTER,
    CURSOR, LISTED, LIST_BANK, DEADLINE, STEP_BANK, CAS_SOURCE, CAS_PLACE, CAS_UNTIL, LOGGED,
    COUNT,
) = range(40)  # fmt: skip
"""Scalars of a channel; those of a lane of channels fed together stand in its first channel.

PENDING and LAST_DONE are of the requests from number FROM on.

From COUNT on, commands issued by number.
"""

SCALARS = COUNT + CAS + 1
