"""The engines of v1."""

#: Those that Stability's documents name; any other is not found.
ENGINES = {
    "esrgan-v1-x2plus": "Real-ESRGAN x2",
    "stable-diffusion-v1-6": "Stable Diffusion v1.6",
    "stable-diffusion-x4-latent-upscaler": "Stable Diffusion x4 Latent Upscaler",
    "stable-diffusion-xl-1024-v1-0": "Stable Diffusion XL v1.0",
}
