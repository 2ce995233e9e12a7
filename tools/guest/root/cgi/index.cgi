#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "This is $(hostname), a guest of Tartlet."
echo "You came from $REMOTE_ADDR."
