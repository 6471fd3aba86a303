"""The coupling interface between interface board and base board (claims 13, 14, [0110]-[0112]).

A serial line that carries raw bytes of the meter, readings or sealed telegrams, so that decoding and sealing can sit on
either side.
"""
