"""Names of the words that the inner loop of a lane reads and writes; `lane_program` fills them."""

NEVER = 1 << 48
"""Later than any tick."""

CLOSED = -1
"""No open row."""

HOST, PIM, UPKEEP = range(3)
"""Who issues: ordinary accesses, commands of the set, refresh and changes of mode."""

OPENS, CLOSES, NEITHER = 1, 2, 0
"""What a command does to rows."""

(
    COMMAND, MASK, EFFECT, BUFFER, COLUMN, REGISTER, WEIGHT, FLIGHT, BANK_START, BANK_END,
    CHECK_START, CHECK_END, AFTER_START, AFTER_END, NEED_START, NEED_END, PAIR_WORDS,
) = range(17)  # fmt: skip
"""A pair, a command with the banks that it goes to: banks as bits, effect on rows, row buffer,
slot, mode, activates, ticks until done; then spans of its banks, of the words that say when it is
legal, of those that it sets, and of the pieces by which its rows are opened."""

AFTER_WORDS = 3
"""What a command sets: word, ticks, reason."""

NEED_WORDS = 2
"""How a piece of rows is opened and closed: two pairs."""

OP_WORDS = 3
"""A command of a trace: pair (or -1, wait for all before), row, times."""

ASK_WORDS = 4
"""An ordinary access: tick, writes, bank, row."""

(
    BANKS, WORDS, SLOTS, COMMANDS, BUFFERS, SWITCHES, TURN, ENTER, LEAVE, EVERY, EACH_BANK,
    WINDOW_SIZE, WINDOW_TICKS, DEPTH, REASONS, CHANGE, CLOSE_ALL, CLOSE_PIM, REFRESH, REFRESH_BANK,
    OPEN_BANK, CLOSE_BANK, READ, WRITE, REFRESH_REASON, MODE_REASON, WINDOW_REASON,
    AHEAD, HOLDS, REOPENS, LONGEST, READY, WHY, WHO, ROWS, RING, RING_WHO, WAITS, COUNTS, OPTIONS,
) = range(40)  # fmt: skip
"""Options; pairs, or first pairs of one a bank, or -1; reasons; the longest wait; then the start of
each section of the state: first legal ticks by word, for what reason and by whom, open rows by
buffer and bank, the last activates and whose they are, waited ticks by party and reason, commands
by party."""

(
    NOW, OWNER, SINCE, FREE, SWITCHING, REGISTERED, NEXT_REFRESH, REFRESH_AT, HEAD, LEFT, PIM_DUE,
    HOST_HEAD, HOST_DUE, BLAME_WHY, BLAME_WHO, WAKE, COLUMN_USED, ROW_USED, LAST,
    LOGGED, N_OPEN, CHANGED, ROW_TICKS, OPEN_BANK_TICKS, BLOCKED, HOST_LEFT,
    PROGRESS, PIM_WENT, OPENING, PATIENT, SCALARS,
) = range(31)  # fmt: skip
"""State: clock, owner, queues and sums; the ready words and the rest follow."""

IDLE, BUS, FOR_OTHER, RULES = 0, 1, 2, 3
"""Reasons to wait besides rules: nothing to do, the command bus, the other party."""

LOG_WORDS = 4
"""A logged command: tick, pair, row, party."""

PATIENCE = 64
"""Refresh intervals without a column of anybody after which nothing is taken to happen again: that
parties may close each other's rows for ever; assumed."""

HOLD = 2
"""Windows of activates without a command of the trace after which no access opens a row: assumed.
"""

DONE, STUCK = range(2)
