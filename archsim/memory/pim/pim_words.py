"""Names of the words that the inner loop of command traces reads and writes.

The state begins with words of the decoder, then each group of alike channels has `cfg[WORDS]` of
its own; the starts of its sections are numbers within `cfg`. `memory.pim.program` fills them.
"""

NEVER = 1 << 48
"""Later than any tick."""

CLOSED, MIXED = -1, -2
"""No open row; banks that are not all alike."""

CLOCK, HEAD, OUTSTANDING, LEFTOVERS, LOGGED, HEADER = range(6)
"""Of the decoder: tick, instruction, requests to return, channel groups with refused requests."""

OP_WORDS = 5
NOTHING, COMMANDED, READ, WRITE, BARRIER = range(5)
"""An instruction: kind, final command, requests per channel, bank or -1, row."""

NO_ROW, ALL_BANKS, ONE_BANK = range(3)
"""What must be open for a command."""

PLAIN, BLOCKING, FENCE = range(3)
"""What returns: data nobody waits for, data the decoder waits for, a barrier."""

ACTIVE, REFRESHING, HEAD_OF_LINE, READS, WRITES = range(1, 6)
"""Where a chosen request waits."""

(
    GROUPS, COMMANDS, BANKS, GROUP_BANKS, WORDS, DEPTH, HIGH_TENTHS, LOW_TENTHS,
    OPEN_BANK, OPEN_ALL, CLOSE_BANK, CLOSE_ALL, CHANGE, REFRESH, REFRESH_EVERY, RING_SIZE, REASONS,
    # of each command
    SCOPE, NEEDS, REGISTER, FLIGHT, RETURNS, BLOCKS, CLOSES,
    # sections of a channel: first legal ticks by command, by bank group, by bank; and who says so
    READY, READY_GROUP, READY_BANK, BECAUSE,
    OPEN, LINE, READ_LINE, WRITE_LINE, ACTIVE_LINE, RING, COUNT, WAITED,
    OPTIONS,
) = range(37)  # fmt: skip
"""Options, facts of each command (COMMANDS words each), then the start of each section."""

(
    WAKE, REGISTER_MODE, WRITING, N_LINE, LINE_HEAD, N_READ, N_WRITE, N_ACTIVE, LAST_DUE,
    N_RING, RING_HEAD, SEQUENCE, LEFT, UNIFORM, N_OPEN, CHANGED, OPEN_BANK_TICKS, ROW_TICKS,
    NEXT_REFRESH, LAST_ISSUE, SCALARS,
) = range(21)  # fmt: skip
"""Of a channel: first tick at which it may act, mode, counts of its queues, and sums."""

ENTRY = 3
"""Words of a waiting request: instruction, order of arrival, tick of arrival."""

NOBODY, TURN = range(2)
"""Reasons to wait besides the rules: nothing to do; another's turn, or a precharge held back."""

DONE, STUCK = range(2)
