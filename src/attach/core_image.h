// An image of the bytes of a core file. Apart from open_core() so that a test can hand in bytes.
#pragma once

#include "attach/pieced_image.h"

namespace memspy::attach {

// `owner` keeps `file`. Errors as parse_core().
Result<std::unique_ptr<ProcessImage>> image_of_core(std::span<const std::byte> file,
                                                    PiecedImage::Owner owner,
                                                    const std::string& executable);

}  // namespace memspy::attach
