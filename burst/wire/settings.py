"""One side's settings, and the bounds RFC 9113 sets them (section 6.5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from burst.wire.frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    ErrorCode,
    H2Error,
    Setting,
)


@dataclass(slots=True)
class Settings:
    """One side's settings, as they are in force."""

    header_table_size: int = 4096
    max_concurrent_streams: int = LARGEST_WINDOW
    initial_window_size: int = DEFAULT_WINDOW
    max_frame_size: int = DEFAULT_FRAME
    max_header_list_size: int = 2**32 - 1

    def put(self, key: int, value: int) -> None:
        """Put one setting into force; unknown ones are ignored. Raises H2Error where the value is out of bounds."""
        if key == Setting.HEADER_TABLE_SIZE:
            self.header_table_size = value
        elif key == Setting.MAX_CONCURRENT_STREAMS:
            self.max_concurrent_streams = value
        elif key == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW:
                raise H2Error(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE = {value}")
            self.initial_window_size = value
        elif key == Setting.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME <= value <= LARGEST_FRAME:
                raise H2Error(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE = {value}")
            self.max_frame_size = value
        elif key == Setting.MAX_HEADER_LIST_SIZE:
            self.max_header_list_size = value
